//! What a client says, read from what virsh prints in the C locale. The words are those of
//! [`super::operations`].
//!
//! All functions are pure; what they read was printed by 7.0.0, 9.0.0, 11.3.0 or 12.8.0 and stands in the
//! tests.

use super::operations::{
    DAEMON, DESCRIPTION, DEVICE, DEVICES, DOMAINS, ERROR, EVENT, INTERFACES, NETWORKS, NO_DESCRIPTION,
    Operation, POOLS, SCREENSHOT, XML,
};

/// What a client printed, and the file that it wrote.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Printed<'a> {
    /// To standard output.
    pub stdout: &'a str,
    /// To standard error.
    pub stderr: &'a str,
    /// Into the file that it was given.
    pub file: Option<&'a [u8]>,
}

/// What a client said of everything that the operation asks for, and how it failed if it did.
pub(crate) fn read(operation: &Operation, printed: &Printed<'_>) -> Vec<(&'static str, String)> {
    let asked = operation.claims.iter().map(|(word, _)| *word).chain(operation.answers.iter().copied());
    let mut claims: Vec<_> = asked
        .filter(|word| *word != ERROR)
        .filter_map(|word| said_of(word, printed).map(|said| (word, said)))
        .collect();
    claims.extend(error(printed.stderr).map(|error| (ERROR, error.to_owned())));
    claims
}

fn said_of(word: &str, printed: &Printed<'_>) -> Option<String> {
    let text = printed.stdout;
    match word {
        DAEMON => line_behind(text, "Running against daemon:").map(str::to_owned),
        // A domain that does not run has no id: `-`.
        DOMAINS => table(text, &["Id", "Name", "State"], 1),
        INTERFACES => table(text, &["Name", "State"], 0),
        NETWORKS => table(text, &["Name", "State", "Autostart", "Persistent"], 0),
        POOLS => table(text, &["Name", "State", "Autostart"], 0),
        DEVICES => devices(text),
        DEVICE => device(text),
        XML => text.contains('<').then(|| one_line(text)),
        DESCRIPTION => description(text),
        SCREENSHOT => screenshot(text, printed.file?),
        EVENT => event(text),
        _ => None,
    }
}

fn line_behind<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim)
}

/// The rows of a table below its line of dashes, sorted: the cell at `at` and the one behind it. Cells are
/// parted by two blanks or more, as `shut off` has one.
fn table(text: &str, head: &[&str], at: usize) -> Option<String> {
    let mut lines = text.lines();
    lines.find(|line| cells(line).starts_with(head))?;
    lines.next().filter(|line| line.trim().bytes().all(|byte| byte == b'-'))?;
    let rows = lines.map(cells).take_while(|cells| !cells.is_empty());
    let mut rows: Vec<String> =
        rows.filter_map(|cells| Some(named(cells.get(at)?, cells.get(at + 1)?))).collect();
    rows.sort();
    Some(rows.join(" "))
}

fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// An object and its state as one word.
pub(super) fn named(name: &str, state: &str) -> String {
    format!("{name}:{}", state.replace(' ', "-"))
}

fn devices(text: &str) -> Option<String> {
    let mut names: Vec<&str> = text.split_whitespace().collect();
    names.sort_unstable();
    (!names.is_empty()).then(|| names.join(" "))
}

/// `no autostart` is what 9.0.0 and 11.3.0 print where others print `no` or, when they could not be told,
/// `unknown`.
fn device(text: &str) -> Option<String> {
    let value = |start: &str| line_behind(text, start).map(|value| value.split(' ').next().unwrap_or(value));
    let (active, persistent) = (value("Active:")?, value("Persistent:")?);
    let autostart = value("Autostart:")?;
    Some(device_state(active, persistent, autostart))
}

/// What is so of a device.
pub(super) fn device_state(active: &str, persistent: &str, autostart: &str) -> String {
    format!("active:{active} persistent:{persistent} autostart:{autostart}")
}

/// XML in one line with nothing between the elements.
pub(super) fn one_line(xml: &str) -> String {
    xml.lines().map(str::trim).collect()
}

fn description(text: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with("No description for network") {
        return Some(NO_DESCRIPTION.to_owned());
    }
    (!text.is_empty()).then(|| text.to_owned())
}

fn screenshot(text: &str, file: &[u8]) -> Option<String> {
    let (_, kind) = text.split_once("with type of ")?;
    Some(picture(kind.trim(), file))
}

/// What came as a screenshot, in one line.
pub(super) fn picture(kind: &str, bytes: &[u8]) -> String {
    format!("{kind} {} bytes {:016x}", bytes.len(), digest(bytes))
}

/// FNV-1a with 64 bits: enough to tell a file that came whole from one that did not.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn event(text: &str) -> Option<String> {
    let line = line_behind(text, "event ")?;
    let (event, rest) = line.split_once(" for domain ")?;
    let (domain, _) = rest.split_once(": ")?;
    Some(format!("{} of {}", event.trim_matches('\''), domain.trim_matches('\'')))
}

/// The texts of errors, and the words for them. The last error of a session counts; texts in front of a
/// reason (`Failed to …`) come before it.
const ERRORS: &[(&str, &str)] = &[
    ("unknown procedure", "unsupported"),
    ("this function is not supported by the connection driver", "unsupported"),
    ("Requested operation is not valid", "invalid"),
    ("Operation not supported", "refused"),
    ("unsupported flags", "flags"),
    ("no valid connection", "disconnected"),
    ("Disconnected from", "disconnected"),
    ("unknown command", "no-command"),
];

fn error(stderr: &str) -> Option<&'static str> {
    let last = stderr.lines().filter_map(|line| line.strip_prefix("error: ")).next_back()?;
    Some(ERRORS.iter().find(|(start, _)| last.starts_with(start)).map_or("other", |(_, word)| word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::operation;

    #[track_caller]
    fn check(name: &str, stdout: &str, stderr: &str, expect: &[(&str, &str)]) {
        let operation = operation(name).expect("in the table");
        let found = read(operation, &Printed { stdout, stderr, file: Some(b"png") });
        let found: Vec<(&str, &str)> = found.iter().map(|(word, said)| (*word, said.as_str())).collect();
        assert_eq!(found, expect, "{name}: {stdout}{stderr}");
    }

    /// Printed by virsh 7.0.0 and 12.8.0.
    #[test]
    fn reads_lists() {
        check(
            "list",
            " Id   Name   State\n----------------------\n 1    test   running\n -    old    shut off\n\n",
            "",
            &[(DOMAINS, "old:shut-off test:running")],
        );
        check(
            "iface-list",
            " Name   State      MAC Address\n--------------------------------------\n eth9   inactive   aa:bb:cc:dd:ee:99\n eth1   active     aa:bb:cc:dd:ee:ff\n\n",
            "",
            &[(INTERFACES, "eth1:active eth9:inactive")],
        );
        check(
            "net-list",
            " Name      State    Autostart   Persistent\n--------------------------------------------\n default   active   no          yes\n\n",
            "",
            &[(NETWORKS, "default:active")],
        );
        check(
            "pool-list",
            " Name           State    Autostart\n------------------------------------\n default-pool   active   no\n\n",
            "",
            &[(POOLS, "default-pool:active")],
        );
        check(
            "nodedev-list",
            "computer\nscsi_host1\nscsi_host11\nscsi_host2\n\n",
            "",
            &[(DEVICES, "computer scsi_host1 scsi_host11 scsi_host2")],
        );
        // An empty list is something that was said; no table is not.
        check("iface-list", " Name   State   MAC Address\n------------\n\n", "", &[(INTERFACES, "")]);
        check("iface-list", "", "error: Failed to list interfaces\n", &[(ERROR, "other")]);
    }

    #[test]
    fn reads_values() {
        let version = "Compiled against library: libvirt 12.8.0\nUsing library: libvirt 12.8.0\nUsing API: TEST 12.8.0\nRunning hypervisor: TEST 0.0.2\n";
        check("version", &format!("{version}Running against daemon: 7.0.0\n\n"), "", &[(DAEMON, "7.0.0")]);
        check("version", version, "error: failed to get the daemon version\n", &[(ERROR, "other")]);
        let device = "Name:           computer\nParent:         \nActive:         yes\nPersistent:     yes\n";
        check(
            "nodedev-info",
            &format!("{device}Autostart:      unknown\n\n"),
            "",
            &[(DEVICE, "active:yes persistent:yes autostart:unknown")],
        );
        check(
            "nodedev-info",
            &format!("{device}Autostart:      no autostart\n\n"),
            "",
            &[(DEVICE, "active:yes persistent:yes autostart:no")],
        );
        check("net-desc", "No description for network: default\n", "", &[(DESCRIPTION, "none")]);
        check("net-desc", "hello\n\n", "", &[(DESCRIPTION, "hello")]);
        check(
            "screenshot",
            "Screenshot saved to /out, with type of image/png\n",
            "",
            &[(SCREENSHOT, "image/png 3 bytes 779e6f1956518c3c")],
        );
        check(
            "event",
            "event 'lifecycle' for domain 'test': Suspended Paused\nevents received: 1\n\n",
            "",
            &[(EVENT, "lifecycle of test")],
        );
        check("event", "event loop timed out\nevents received: 0\n\n", "", &[]);
        check(
            "iface-dumpxml",
            "<interface type='ethernet' name='eth1'>\n  <start mode='onboot'/>\n</interface>\n\n",
            "",
            &[(XML, "<interface type='ethernet' name='eth1'><start mode='onboot'/></interface>")],
        );
    }

    #[test]
    fn reads_why_a_command_failed() {
        for (stderr, word) in [
            (
                "error: Failed to begin network config change transaction\nerror: Requested operation is not valid: there is another transaction running.\n\n",
                "invalid",
            ),
            ("error: unknown procedure: 442\n", "unsupported"),
            (
                "error: this function is not supported by the connection driver: virDomainAbortJobFlags\n",
                "unsupported",
            ),
            (
                "error: Failed to update network default\nerror: Operation not supported: can't update 'ip' section of network 'default'\n",
                "refused",
            ),
            (
                "error: Failed to list node devices\nerror: unsupported flags (0x80000000) in function testConnectListAllNodeDevices\n",
                "flags",
            ),
            // A warning of the session comes first.
            (
                "error: Unable to register disconnect callback\nerror: Failed to begin network config change transaction\nerror: unknown procedure: 220\n",
                "unsupported",
            ),
            ("error: unbekannte Prozedur: 456\n", "other"),
            ("error: unknown command: 'nodedev-info'\n", "no-command"),
        ] {
            check("begin", "", stderr, &[(ERROR, word)]);
        }
        check("begin", "Network config change transaction started\n\n", "", &[]);
    }

    proptest::proptest! {
        /// Whatever a client prints is read without a panic, a table in one line, and nothing is said twice.
        #[test]
        fn reads_anything(stdout in "[ -~\n]{0,400}", table in proptest::bool::ANY, stderr in "\\PC{0,80}") {
            let head = if table { " Name   State   MAC Address\n-----------\n" } else { "" };
            let stdout = format!("{head}{stdout}");
            for operation in crate::operations::operations() {
                let said = read(operation, &Printed { stdout: &stdout, stderr: &stderr, file: Some(b"") });
                let words: std::collections::BTreeSet<_> = said.iter().map(|(word, _)| word).collect();
                proptest::prop_assert_eq!(words.len(), said.len());
                let mut lists = said.iter().filter(|(word, _)| *word == INTERFACES);
                proptest::prop_assert!(lists.all(|(_, said)| !said.contains('\n')));
            }
        }
    }
}
