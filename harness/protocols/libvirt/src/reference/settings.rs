//! How a reference server is run that is not run as usual. The words are those of real daemons
//! (`launch/settings.rs`), and one more:
//!
//! ```toml
//! settings = { locale = "de_DE.UTF-8" }     # says "unbekannte Prozedur"
//! settings = { locale = "fr_FR.ISO-8859-1" }    # says it in bytes that are not UTF-8
//! settings = { authentication = "sasl" }    # wants to know who asks, and nobody can tell
//! settings = { driver = "interface" }       # has the driver for the machine's interfaces, where that is udev
//! settings = { connectivity = "1000" }      # who begins has to connect anew within that many milliseconds, and
//!                                           # to stay, or is rolled back; for servers with real transactions
//! settings = { highest = "222" }            # stands for an older release: knows no procedure above
//! ```
//!
//! A server that stands for an older release is a good one: what it says of its features goes with what it
//! knows. One that forgets that is a defect.

use std::collections::{BTreeMap, BTreeSet};

use super::failure::Failure;
use crate::dialect::{Dialect, LastClose, MachineDriver, Translation};
use crate::names::{UNKNOWN_PROCEDURE_TEXT, UNKNOWN_PROGRAM_TEXT, feature, procedures as proc};

/// How clients have to say who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Auth {
    /// They need not.
    #[default]
    None,
    /// With SASL.
    Sasl,
}

/// The language of errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Language {
    /// That of the C locale.
    #[default]
    C,
    /// As the catalogue of a release has it.
    Translated(Translation),
    /// In bytes that are not UTF-8.
    Latin1,
}

impl Language {
    /// What is said of an unknown procedure.
    pub(super) fn unknown_procedure(self, number: i32) -> Vec<u8> {
        let number = number.to_string();
        match self {
            Self::C => format!("{UNKNOWN_PROCEDURE_TEXT}: {number}").into_bytes(),
            Self::Translated(texts) => texts.unknown_procedure.replace("{}", &number).into_bytes(),
            Self::Latin1 => [FRENCH, b": ", number.as_bytes()].concat(),
        }
    }

    /// What is said of an unknown program.
    pub(super) fn unknown_program(self, program: i32, version: u32) -> String {
        let text = match self {
            Self::Translated(texts) => texts.unknown_program.to_owned(),
            _ => format!("{UNKNOWN_PROGRAM_TEXT} {{}} version {{}}"),
        };
        text.replacen("{}", &program.to_string(), 1).replacen("{}", &version.to_string(), 1)
    }

    /// A refusal in that language, as far as it has words for it.
    pub(super) fn say(self, failure: &Failure) -> Failure {
        match self {
            Self::Translated(texts) if *failure == Failure::undecodable() => Failure::rpc(texts.undecodable),
            _ => failure.clone(),
        }
    }
}

/// How a server is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) auth: Auth,
    pub(super) language: Language,
    /// Whether `interface:///session` can be opened.
    pub(super) machine: bool,
    /// How long who begins a transaction has to connect to the server's own address anew, in milliseconds.
    pub(super) connectivity_ms: Option<u64>,
    /// The highest procedure, where that is not the dialect's.
    pub(super) highest: Option<i32>,
}

/// The last procedure without which a feature would be a lie. 9 came with 0.9.8, 10 was promised then too.
const FEATURE_NEEDS: [(i32, i32); 6] = [
    (feature::FD_PASSING, proc::DOMAIN_CREATE_WITH_FILES),
    (feature::TYPED_PARAM_STRING, proc::DOMAIN_GET_BLOCK_IO_TUNE),
    (feature::PROGRAM_KEEPALIVE, proc::NODE_SUSPEND_FOR_DURATION),
    (feature::REMOTE_EVENT_CALLBACK, proc::CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY),
    (feature::REMOTE_CLOSE_CALLBACK, proc::CONNECT_UNREGISTER_CLOSE_CALLBACK),
    (feature::NETWORK_UPDATE_HAS_CORRECT_ORDER, proc::DOMAIN_START_DIRTY_RATE_CALC),
];

/// Text of a French server in ISO 8859-1: bytes that are not UTF-8.
const FRENCH: &[u8] = b"proc\xe9dure inconnue";

impl Settings {
    /// Reads the settings of a build; an error says what is wrong with them.
    pub(super) fn read(settings: &BTreeMap<String, String>, dialect: &Dialect) -> Result<Self, String> {
        let mut read = Self::default();
        for (key, value) in settings {
            match (key.as_str(), value.as_str()) {
                ("authentication", "sasl") => read.auth = Auth::Sasl,
                ("driver", "interface") if dialect.server.machine == MachineDriver::Udev => {
                    read.machine = true;
                }
                ("locale", locale) => read.language = language(locale, dialect)?,
                ("connectivity", ms) if dialect.server.last_close == LastClose::Keeps => {
                    let deadline = ms.parse().map_err(|_| format!("`{ms}` is no number of milliseconds"))?;
                    read.connectivity_ms = Some(deadline);
                }
                ("highest", number) => {
                    let highest = number.parse().map_err(|_| format!("`{number}` is no procedure"))?;
                    read.highest = Some(highest);
                }
                _ => return Err(format!("a reference server cannot be run with `{key} = {value}`")),
            }
        }
        Ok(read)
    }

    /// The dialect of a server that is run so.
    pub(super) fn apply(&self, dialect: &Dialect) -> Dialect {
        match self.highest {
            Some(highest) => older(dialect, highest),
            None => dialect.clone(),
        }
    }
}

/// The dialect as it would be if nothing above a procedure had come yet.
pub(super) fn older(dialect: &Dialect, highest: i32) -> Dialect {
    let has =
        |feature: &i32| FEATURE_NEEDS.iter().all(|(needing, needs)| needing != feature || *needs <= highest);
    let features: BTreeSet<i32> = dialect.features.iter().copied().filter(has).collect();
    let highest_procedure = dialect.highest_procedure.min(highest);
    Dialect { features, highest_procedure, ..dialect.clone() }
}

/// What a server speaks in a locale. One that it has no words for is an error: a server that spoke English there
/// would prove nothing of clients that meet a translation.
fn language(locale: &str, dialect: &Dialect) -> Result<Language, String> {
    let (name, encoding) = locale.split_once('.').unwrap_or((locale, "UTF-8"));
    let language = name.split('_').next().unwrap_or(name);
    match (language, encoding) {
        ("de", "UTF-8") => Ok(Language::Translated(dialect.server.german)),
        ("fr", "ISO-8859-1") => Ok(Language::Latin1),
        ("en" | "C" | "POSIX", _) => Ok(Language::C),
        _ => Err(format!("a reference server has no words for `{locale}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DIALECTS;

    fn ideal() -> &'static Dialect {
        DIALECTS.named("ideal").expect("in the table")
    }

    #[test]
    fn features_go_with_procedures() {
        for (highest, expect) in [
            (456, &[8, 9, 10, 14, 15, 16][..]),
            (425, &[8, 9, 10, 14, 15]),
            (359, &[8, 9, 10, 14]),
            (312, &[8, 9, 10]),
            (222, &[]),
            (219, &[]),
            (70, &[]),
        ] {
            let settings = BTreeMap::from([("highest".to_owned(), highest.to_string())]);
            let dialect = Settings::read(&settings, ideal()).expect("a setting").apply(ideal());
            assert_eq!(dialect.features, expect.iter().copied().collect(), "{highest}");
            assert_eq!(dialect.highest_procedure, highest);
        }
    }

    #[test]
    fn promises_a_rollback_only_where_there_are_real_transactions() {
        for (release, ms, expect) in [
            ("ideal", "1000", Ok(Some(1000))),
            ("ideal", "soon", Err("`soon` is no number of milliseconds")),
            ("12.8.0", "1000", Err("a reference server cannot be run with `connectivity = 1000`")),
        ] {
            let dialect = DIALECTS.named(release).expect("in the table");
            let settings = BTreeMap::from([("connectivity".to_owned(), ms.to_owned())]);
            let read = Settings::read(&settings, dialect).map(|read| read.connectivity_ms);
            assert_eq!(read, expect.map_err(str::to_owned), "{release} {ms}");
        }
    }

    fn in_locale(release: &str, locale: &str) -> Result<Language, String> {
        let dialect = DIALECTS.named(release).expect("in the table");
        let settings = BTreeMap::from([("locale".to_owned(), locale.to_owned())]);
        Settings::read(&settings, dialect).map(|read| read.language)
    }

    #[test]
    fn speaks_the_language_that_is_asked_for() {
        let no_words = |locale: &str| Err(format!("a reference server has no words for `{locale}`"));
        for (release, locale, expect) in [
            ("12.8.0", "C", Ok(Language::C)),
            ("12.8.0", "C.UTF-8", Ok(Language::C)),
            ("12.8.0", "de_DE.UTF-8", Ok(Language::Translated(Translation::GERMAN))),
            ("ideal", "de_DE.UTF-8", Ok(Language::Translated(Translation::GERMAN))),
            ("ideal", "de_DE.ISO-8859-1", no_words("de_DE.ISO-8859-1")),
            ("12.8.0", "fr_FR.ISO-8859-1", Ok(Language::Latin1)),
            ("12.8.0", "fr_FR.UTF-8", no_words("fr_FR.UTF-8")),
            ("12.8.0", "ja_JP.UTF-8", no_words("ja_JP.UTF-8")),
        ] {
            assert_eq!(in_locale(release, locale), expect, "{release} {locale}");
        }
    }

    /// LV-04. A translated refusal that began so would be one that clients understand.
    #[test]
    fn a_translation_does_not_begin_with_the_words_that_clients_look_for() {
        for dialect in DIALECTS.all() {
            for locale in ["de_DE.UTF-8", "fr_FR.ISO-8859-1"] {
                let said = in_locale(dialect.name, locale).expect("has words").unknown_procedure(223);
                let english = said.starts_with(UNKNOWN_PROCEDURE_TEXT.as_bytes());
                assert!(!english, "{} in {locale}", dialect.name);
                assert!(said.ends_with(b": 223"), "{} in {locale}", dialect.name);
            }
        }
    }
}
