//! The arguments of an allowed command: fixed words, and places for the values of a timer, checked by type.
//!
//! `{1:int}`, `{2:word}`, `{3:text}` and `{4:path-under:/srv/data}` stand alone or at the end of an argument, as in
//! `--keep={1:int}`. A value is always a part of one argument and never read by a shell. One that stands alone must not
//! begin with `-`, so that no timer gives an option that the command's owner has not written.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The most digits of an `int`: it fits into 64 bits.
const INT_DIGITS_MAX: usize = 18;
/// The longest value, in bytes.
const VALUE_LENGTH_MAX: usize = 1_024;

/// All arguments, the program first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments {
    words: Vec<Word>,
    /// How many values they take.
    values: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    /// What is written before the value.
    fixed: String,
    /// Which value, from 0, and what it may be.
    place: Option<(usize, Kind)>,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A whole number of up to 18 digits.
    Int,
    /// Letters, digits, `_`, `.` and `-`; neither `.` nor `-` first.
    Word,
    /// Anything but NUL.
    Text,
    /// A file or directory below this one, existing or not, that no link leads out of.
    PathUnder(PathBuf),
}

impl Arguments {
    /// Reads the words of an entry.
    ///
    /// # Errors
    /// Which word is wrong, and how it would be right.
    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let program = words.first().ok_or("is empty; give a program first")?;
        if !Path::new(program).is_absolute() {
            return Err(format!("{program:?} must be the full path of a program"));
        }
        let words: Vec<Word> = words
            .iter()
            .map(|text| Word::parse(text))
            .collect::<Result<_, _>>()?;
        if words[0].place.is_some() {
            return Err("the program itself must not have a placeholder".into());
        }
        let places: Vec<usize> = words
            .iter()
            .filter_map(|word| word.place.as_ref().map(|(place, _)| *place))
            .collect();
        let values = places.iter().max().map_or(0, |last| last + 1);
        if let Some(unused) = (0..values).find(|place| !places.contains(place)) {
            return Err(format!(
                "uses {{{values}:...}} but not {{{}:...}}; number the placeholders from 1 without a gap",
                unused + 1
            ));
        }
        Ok(Self { words, values })
    }

    /// The program and its arguments with the values in their places. Looks at the disk for paths.
    ///
    /// # Errors
    /// Which value is wrong, and what it may be.
    pub(super) fn fill(&self, values: &[String]) -> Result<Vec<OsString>, String> {
        if values.len() != self.values {
            return Err(format!(
                "the command takes {} arguments, not {}",
                self.values,
                values.len()
            ));
        }
        self.words.iter().map(|word| word.fill(values)).collect()
    }
}

impl Word {
    fn parse(text: &str) -> Result<Self, String> {
        if text.contains('\0') {
            return Err(format!("{text:?} has a NUL in it"));
        }
        let Some(start) = placeholder(text) else {
            return Ok(Self {
                fixed: text.to_owned(),
                place: None,
            });
        };
        let wrong = || {
            format!(
                "{text:?} is no placeholder; write {{1:int}}, {{1:word}}, {{1:text}} or {{1:path-under:/DIRECTORY}}, \
                 alone or at the end of an argument"
            )
        };
        let inner = text[start + 1..].strip_suffix('}').ok_or_else(wrong)?;
        let (number, kind) = inner.split_once(':').ok_or_else(wrong)?;
        let number: usize = number.parse().map_err(|_| wrong())?;
        if !(1..=32).contains(&number) {
            return Err(format!("{text:?}: placeholders are numbered from 1 to 32"));
        }
        let kind = match kind.split_once(':') {
            None if kind == "int" => Kind::Int,
            None if kind == "word" => Kind::Word,
            None if kind == "text" => Kind::Text,
            Some(("path-under", base))
                if is_plain(Path::new(base)) && !base.contains(['{', '}']) =>
            {
                Kind::PathUnder(base.into())
            }
            _ => return Err(wrong()),
        };
        Ok(Self {
            fixed: text[..start].to_owned(),
            place: Some((number - 1, kind)),
        })
    }

    fn fill(&self, values: &[String]) -> Result<OsString, String> {
        let mut filled = OsString::from(&self.fixed);
        if let Some((place, kind)) = &self.place {
            let told = |why| format!("argument {} {why}", place + 1);
            filled.push(kind.check(&values[*place]).map_err(told)?);
            if self.fixed.is_empty() && filled.as_encoded_bytes().starts_with(b"-") {
                let why = "must not begin with `-`, which would make it an option";
                return Err(told(why.into()));
            }
        }
        Ok(filled)
    }
}

/// Where a placeholder begins: a brace, a number and a colon. Other braces are ordinary characters.
fn placeholder(text: &str) -> Option<usize> {
    text.match_indices('{').map(|(at, _)| at).find(|at| {
        let rest = &text[at + 1..];
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && after.starts_with(':')
    })
}

/// Whether it is absolute and goes nowhere up.
fn is_plain(path: &Path) -> bool {
    let goes_down = |part| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute() && path.components().all(goes_down)
}

impl Kind {
    fn check(&self, value: &str) -> Result<OsString, String> {
        if value.contains('\0') {
            return Err("must not have a NUL in it".into());
        }
        if value.len() > VALUE_LENGTH_MAX {
            return Err(format!("is longer than {VALUE_LENGTH_MAX} bytes"));
        }
        match self {
            Self::Int if is_int(value) => Ok(value.into()),
            Self::Int => Err(format!(
                "must be a whole number of up to {INT_DIGITS_MAX} digits"
            )),
            Self::Word if is_word(value) => Ok(value.into()),
            Self::Word => Err(
                "must be one word of letters, digits, `_`, `.` and `-`, the first a letter, a digit or `_`".into(),
            ),
            Self::Text => Ok(value.into()),
            Self::PathUnder(base) => under(base, value).map(OsString::from),
        }
    }
}

fn is_int(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let count = 1..=INT_DIGITS_MAX;
    count.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_word(value: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !value.is_empty() && !value.starts_with(['.', '-']) && value.bytes().all(is_inner)
}

/// The place on the disk that `value` names, which must be below `base` also when all links are followed.
///
/// What is returned has no link in it, so that a link that is laid later is not followed; whoever may rename
/// directories below `base` while a command starts can still mislead it.
fn under(base: &Path, value: &str) -> Result<PathBuf, String> {
    let outside = || format!("must be a path below {}", base.display());
    let path = base.join(value);
    if value.is_empty() || !is_plain(&path) || !path.starts_with(base) {
        return Err(outside());
    }
    let real = |path: &Path| resolve(path).map_err(|error| format!("cannot be looked up: {error}"));
    let (base, path) = (real(base)?, real(&path)?);
    if path == base || !path.starts_with(&base) {
        return Err(outside());
    }
    Ok(path)
}

/// Follows all links of the part of the path that exists.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Ok(real);
            }
            // A link into nowhere exists: where it leads to would be made by whoever writes through it.
            Err(error)
                if error.kind() != io::ErrorKind::NotFound
                    || existing.symlink_metadata().is_ok() =>
            {
                return Err(error);
            }
            Err(error) => {
                let (Some(parent), Some(name)) = (existing.parent(), existing.file_name()) else {
                    return Err(error);
                };
                missing.push(name);
                existing = parent;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn fill(words: &[&str], values: &[&str]) -> Result<Vec<String>, String> {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let filled = parse(words)?.fill(&values)?;
        Ok(filled
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect())
    }

    #[test]
    fn each_value_is_a_part_of_one_argument() {
        let words = ["/bin/x", "--keep={2:int}", "{1:text}", "{print $1}", "{}"];
        assert_eq!(
            fill(&words, &["two words; $(rm -rf /)", "-5"]).unwrap(),
            [
                "/bin/x",
                "--keep=-5",
                "two words; $(rm -rf /)",
                "{print $1}",
                "{}"
            ]
        );
        assert_eq!(
            fill(&["/x", "{1:word}", "{1:word}"], &["a"]).unwrap(),
            ["/x", "a", "a"]
        );
        assert!(fill(&words, &["one"]).unwrap_err().contains("2 arguments"));
        assert!(fill(&["/x"], &["one"]).unwrap_err().contains("0 arguments"));
    }

    #[test]
    fn a_value_is_what_its_type_says() {
        let cases = [
            (
                "int",
                &["0", "42", "999999999999999999"][..],
                &[
                    "",
                    "-",
                    "+1",
                    "1.5",
                    "0x1",
                    "1 ",
                    "９",
                    "1000000000000000000",
                ][..],
            ),
            (
                "word",
                &["a", "_x", "a-b.c_d", "9"],
                &["", ".", "..", ".x", "a b", "a/b", "ä", "a\n", "a;b"],
            ),
            ("text", &["", "a b", "ä\n", "$(x)"], &["a\0b"]),
        ];
        for (kind, right, wrong) in cases {
            let words = ["/x".to_owned(), format!("{{1:{kind}}}")];
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            for value in right {
                assert_eq!(fill(&words, &[value]).unwrap()[1], *value);
            }
            for value in wrong {
                assert!(fill(&words, &[value]).is_err(), "{kind} {value:?}");
            }
        }
        assert!(fill(&["/x", "{1:text}"], &[&"x".repeat(1_025)]).is_err());
    }

    #[test]
    fn no_value_becomes_an_option() {
        for kind in ["int", "text"] {
            let alone = format!("{{1:{kind}}}");
            let why = fill(&["/x", &alone], &["-9"]).unwrap_err();
            assert!(why.contains("option"), "{why}");
            let within = format!("--n={alone}");
            assert_eq!(fill(&["/x", &within], &["-9"]).unwrap()[1], "--n=-9");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_meant_is_refused() {
        let wrong: [&[&str]; 12] = [
            &[],
            &["relative"],
            &["/{1:word}"],
            &["/x", "{0:int}"],
            &["/x", "{33:int}"],
            &["/x", "{1:number}"],
            &["/x", "{1:int"],
            &["/x", "{1:int}after"],
            &["/x", "{1:int}{2:int}"],
            &["/x", "{2:int}"],
            &["/x", "{1:path-under:data}"],
            &["/x", "{1:path-under:/srv/../etc}"],
        ];
        for words in wrong {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_path_stays_below_its_directory_whatever_links_say() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let base = root.join("data");
        std::fs::create_dir_all(base.join("sub")).unwrap();
        std::fs::write(base.join("sub/file"), "").unwrap();
        std::fs::write(root.join("secret"), "").unwrap();
        symlink("..", base.join("up")).unwrap();
        symlink("sub", base.join("down")).unwrap();
        symlink("../made-later", base.join("dangling")).unwrap();
        let word = format!("{{1:path-under:{}}}", base.display());
        let filled = |value: &str| fill(&["/x", &word], &[value]).map(|words| words[1].clone());
        let below = |path: &str| Ok(base.join(path).display().to_string());
        assert_eq!(filled("sub/file"), below("sub/file"));
        assert_eq!(filled("down/file"), below("sub/file"));
        assert_eq!(filled("-rf"), below("-rf"));
        assert_eq!(filled("down/new/file"), below("sub/new/file"));
        assert_eq!(
            filled(&base.join("sub").display().to_string()),
            below("sub")
        );
        for wrong in [
            "",
            ".",
            "..",
            "../secret",
            "sub/../../secret",
            "up/secret",
            "up",
            "/etc/passwd",
            "dangling",
            "dangling/x",
            "sub/file/x",
        ] {
            assert!(filled(wrong).is_err(), "{wrong:?}: {:?}", filled(wrong));
        }
        let sibling = format!("{}-other", base.display());
        assert!(filled(&sibling).is_err());
    }
}
