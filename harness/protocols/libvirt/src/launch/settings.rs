//! How a daemon is run that is not run as usual.
//!
//! ```toml
//! settings = { locale = "de_DE.UTF-8" }     # it translates what it says
//! settings = { authentication = "sasl" }    # it wants to know who asks
//! settings = { driver = "interface" }       # beside the test driver it has the one for the machine's interfaces
//! settings = { driver = "interface", transactions = "script" }   # netcf finds a script for transactions
//! ```

use std::collections::BTreeMap;

/// What every key may be set to; a locale is whatever the root has.
const KNOWN: [(&str, &[&str]); 4] = [
    ("authentication", &["sasl"]),
    ("driver", &["interface"]),
    ("locale", &[]),
    ("transactions", &["script"]),
];

/// How a daemon is run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settings {
    /// The locale, if it is not `C`.
    pub(super) locale: Option<String>,
    /// Whether clients have to authenticate.
    pub(super) authenticates: bool,
    /// Whether the driver for the machine's interfaces is loaded.
    pub(super) real_interfaces: bool,
    /// Whether there is a script for transactions of interface changes; netcf alone asks for one.
    pub(super) has_script: bool,
}

impl Settings {
    /// Reads the settings of a build; an error says what is wrong with them.
    pub(super) fn read(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        for (key, value) in settings {
            let known = KNOWN.iter().find(|(known, _)| known == key);
            let (_, values) = known.ok_or_else(|| {
                let all: Vec<_> = KNOWN.iter().map(|(key, _)| *key).collect();
                format!("`{key}` is no setting of libvirtd; there are {}", all.join(", "))
            })?;
            if !values.is_empty() && !values.contains(&value.as_str()) {
                return Err(format!("`{key}` cannot be `{value}`; it can be {}", values.join(", ")));
            }
        }
        Ok(Self {
            locale: settings.get("locale").cloned(),
            authenticates: settings.contains_key("authentication"),
            real_interfaces: settings.contains_key("driver"),
            has_script: settings.contains_key("transactions"),
        })
    }

    /// The configuration file, if one is needed.
    pub(super) fn configuration(&self) -> Option<&'static str> {
        self.authenticates.then_some("auth_unix_rw = \"sasl\"\n")
    }

    /// The variables that the locale is taken from.
    pub(super) fn locale_variables(&self) -> Vec<(String, String)> {
        let locale = self.locale.as_deref().unwrap_or("C");
        vec![("LC_ALL".to_owned(), locale.to_owned())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &[(&str, &str)], expect: Result<Settings, &str>) {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(Settings::read(&settings), expect.map_err(str::to_owned));
    }

    #[test]
    fn reads_what_it_knows_and_refuses_the_rest() {
        check(&[], Ok(Settings::default()));
        let german = Settings { locale: Some("de_DE.UTF-8".to_owned()), ..Settings::default() };
        check(&[("locale", "de_DE.UTF-8")], Ok(german));
        let both = Settings { authenticates: true, real_interfaces: true, ..Settings::default() };
        check(&[("authentication", "sasl"), ("driver", "interface")], Ok(both));
        check(&[("driver", "qemu")], Err("`driver` cannot be `qemu`; it can be interface"));
        check(
            &[("local", "C")],
            Err("`local` is no setting of libvirtd; there are authentication, driver, locale, transactions"),
        );
    }

    #[test]
    fn a_configuration_is_written_only_where_the_usual_one_does_not_do() {
        assert_eq!(Settings::default().configuration(), None);
        let sasl = Settings { authenticates: true, ..Settings::default() };
        assert_eq!(sasl.configuration(), Some("auth_unix_rw = \"sasl\"\n"));
    }
}
