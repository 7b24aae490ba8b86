//! Who may connect to a Unix socket: its owner, and its group if the umask lets groups write; others never.
//!
//! The umask is the whole process's, so this is one test in a program of its own. The units that are installed with
//! the programs are read for theirs.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use dormouse_edge::listen::{Address, listen};
use rustix::fs::Mode;
use rustix::process::umask;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The mode of a socket that is made under this umask.
async fn mode_under(mask: u32) -> u32 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let before = umask(Mode::from_raw_mode(mask));
    let listening = listen(&Address::Unix(path.clone()), false).await;
    umask(before);
    let _open = listening.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    tokio::net::UnixStream::connect(&path).await.unwrap();
    mode & 0o777
}

/// The umask that a systemd unit of ours sets.
fn mask_of_unit(name: &str) -> u32 {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd");
    let text = std::fs::read_to_string(units.join(name)).unwrap();
    let mask = text.lines().find_map(|line| line.strip_prefix("UMask="));
    u32::from_str_radix(mask.unwrap(), 8).unwrap()
}

#[tokio::test]
async fn the_umask_decides_whether_the_group_may_connect_and_others_never_may() {
    for (mask, mode) in [
        (0o022, 0o640),
        (0o077, 0o600),
        (0o007, 0o660),
        (0o000, 0o660),
    ] {
        assert_eq!(mode_under(mask).await, mode, "under {mask:03o}");
    }
    let agent = mask_of_unit("dormouse-agent.service");
    assert_eq!(mode_under(agent).await, 0o660, "its group may connect");
    let server = mask_of_unit("dormouse-server.service");
    assert_eq!(mode_under(server).await, 0o600, "only its user may");
}
