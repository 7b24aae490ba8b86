//! Signs requests, so that who receives one knows that it is of this node, of now, and as it was sent.
//!
//! Signed are, each on a line of its own: the time, the method, the URL, the run and the fencing token; then the body.
//! No line can have a line break in it, so no two requests have the same text.

use super::Error;
use super::trusted::{self, Sight};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;
use std::fmt::Write as _;
use std::path::Path;

/// A key that is shorter than this could be guessed.
const KEY_LENGTH_MIN: usize = 16;

/// A key that the node shares with those whom it sends requests.
#[derive(Debug, Clone)]
pub(super) struct Key(SecretSlice<u8>);

/// What a signature vouches for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    /// When it was signed, in seconds since 1970.
    pub(super) at: u64,
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) run: &'a str,
    pub(super) token: u64,
    pub(super) body: &'a [u8],
}

impl Key {
    /// Reads a key: the file's bytes without a line break at their end.
    ///
    /// # Errors
    /// If the file cannot be trusted, may be read by everybody, or is too short.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let told = |why| Error::new("the signing key", path, why);
        let mut key = trusted::read(path, Sight::Secret).map_err(told)?;
        while key.last().is_some_and(|last| b"\r\n".contains(last)) {
            key.pop();
        }
        if key.len() < KEY_LENGTH_MIN {
            return Err(told(format!(
                "is shorter than {KEY_LENGTH_MIN} bytes; make one with `openssl rand -hex 32`"
            )));
        }
        Ok(Self(key.into()))
    }

    /// The value of the header `Dormouse-Signature`.
    pub(super) fn sign(&self, signed: Signed<'_>) -> String {
        let Signed {
            at,
            method,
            url,
            run,
            token,
            body,
        } = signed;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret())
            .expect("a key of any length is one");
        mac.update(format!("{at}\n{method}\n{url}\n{run}\n{token}\n").as_bytes());
        mac.update(body);
        let mut header = format!("t={at},v1=");
        for byte in mac.finalize().into_bytes() {
            let _ = write!(header, "{byte:02x}");
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_signature_is_what_others_compute() {
        // Computed with Python: hmac.new(key, b"1\nPOST\nhttps://h/p\n00ff\n7\n{}", "sha256").hexdigest().
        let key = Key(b"0123456789abcdef".to_vec().into());
        let signed = Signed {
            at: 1,
            method: "POST",
            url: "https://h/p",
            run: "00ff",
            token: 7,
            body: b"{}",
        };
        assert_eq!(
            key.sign(signed),
            "t=1,v1=d4692e4626ef04132325d53c48be3abc861056e11c99e814e00ee0438db4054e"
        );
        let other = Signed { token: 8, ..signed };
        assert_ne!(key.sign(other), key.sign(signed));
    }

    #[test]
    fn a_key_is_a_file_that_not_everybody_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let read = |content: &str, mode: u32| {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Key::read(&path).map_err(|error| error.to_string())
        };
        let key = read("0123456789abcdef\n", 0o400).unwrap();
        assert_eq!(key.0.expose_secret(), b"0123456789abcdef");
        assert!(!format!("{key:?}").contains("0123"), "a key is never shown");
        assert!(
            read("0123456789abcdef", 0o644)
                .unwrap_err()
                .contains("chmod")
        );
        assert!(
            read("0123456789abcde\n\n", 0o400)
                .unwrap_err()
                .contains("16 bytes")
        );
    }
}
