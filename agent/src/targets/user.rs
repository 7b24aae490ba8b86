//! The user that a command runs as, from the machine's own list of users.
//!
//! Only root can become somebody else. Users of a directory service are not known here; give them as `UID:GID`.

/// The machine's list of users.
const LIST: &str = "/etc/passwd";

/// A user, with the one group that a command of it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    /// The user's number.
    pub(super) uid: u32,
    /// The number of the main group.
    pub(super) gid: u32,
}

impl User {
    /// A user by name, or by numbers as `UID:GID`.
    ///
    /// # Errors
    /// If there is none, or the agent may not become it.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        let euid = rustix::process::geteuid();
        if !euid.is_root() {
            return Err(format!(
                "only an agent that runs as root can become {name:?}, and this one runs as user {}; leave it out",
                euid.as_raw()
            ));
        }
        if let Some((uid, gid)) = name.split_once(':') {
            let number = |text: &str| text.parse().map_err(|_| format!("{name:?} is not UID:GID"));
            return Ok(Self {
                uid: number(uid)?,
                gid: number(gid)?,
            });
        }
        let list = std::fs::read_to_string(LIST)
            .map_err(|error| format!("{LIST} cannot be read: {error}"))?;
        Self::among(&list, name).ok_or_else(|| {
            format!("{name:?} is not in {LIST}; write UID:GID if it is known elsewhere")
        })
    }

    fn among(list: &str, name: &str) -> Option<Self> {
        let line = list
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.len() == 7 && fields[0] == name)?;
        Some(Self {
            uid: line[2].parse().ok()?,
            gid: line[3].parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let list = "root:x:0:0:root:/root:/bin/sh\nbackup2:x:34:35::/:/bin/false\nbackup:x:33:34::/:/bin/false\n";
        assert_eq!(User::among(list, "backup"), Some(User { uid: 33, gid: 34 }));
        for wrong in ["back", "", "x", "backup:x"] {
            assert_eq!(User::among(list, wrong), None, "{wrong}");
        }
    }
}
