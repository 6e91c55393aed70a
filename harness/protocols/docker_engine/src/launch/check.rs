//! Whether what is run in containers is run in them.
//!
//! A daemon that was started in a chroot starts containers as others do, and executes into the root of its machine: measured on all four
//! releases. Nothing that such a build says is of any worth, so it is an error.

use session::LaunchErrorKind;

use super::api::Api;
use super::conditions::{Container, create, start};
use super::image::DIRECTORIES;
use crate::operations::COMMAND;

/// The container with which that is found out.
const NAME: &str = "self-check";
/// What runc mounts, or makes to mount there.
const MOUNTED: [&str; 4] = ["dev", "etc", "proc", "sys"];

/// Executes into a container, which must find the image's root and nothing else.
pub(super) async fn exec_lands_in_the_container(api: Api<'_>) -> Result<(), LaunchErrorKind> {
    let id = create(api, Container { name: NAME, command: &COMMAND, ..Container::default() }).await?;
    start(api, &id).await?;
    let listed = api.exec(&id, &["/bin/ls", "/"]).await?;
    api.act("DELETE", &format!("/containers/{id}?force=1&v=1")).await?;
    judge(&listed).map_err(LaunchErrorKind::Setup)
}

fn judge(listed: &str) -> Result<(), String> {
    let mut expect: Vec<_> = DIRECTORIES.into_iter().chain(MOUNTED).collect();
    expect.sort_unstable();
    let mut found: Vec<_> = listed.split_whitespace().collect();
    found.sort_unstable();
    if found == expect {
        return Ok(());
    }
    let found: String = found.join(" ").chars().take(200).collect();
    Err(format!(
        "an exec into a container finds `{found}`, and not `{}`: its root is another one",
        expect.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_machine_is_not_that_of_a_container() {
        assert_eq!(judge("bin\ndev\netc\nproc\nsys\ntmp\n"), Ok(()));
        let error = judge("bin\nboot\ndev\netc\nhome\n").expect_err("that is a machine");
        assert!(error.contains("finds `bin boot dev etc home`"), "{error}");
        assert!(judge("OCI runtime exec failed: exec failed: write init-p: broken pipe: unknown").is_err());
    }
}
