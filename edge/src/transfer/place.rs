//! Where in a line of JSON something stands, by its path. The line is known to be JSON.

/// The column, in characters from 1, of what stands at a path in a line; of the innermost part that is there.
pub(super) fn column(line: &str, path: &[String]) -> usize {
    let mut at = skip_blanks(line, 0);
    for part in path {
        match descend(line, at, part) {
            Some(inner) => at = inner,
            None => break,
        }
    }
    line[..at].chars().count() + 1
}

/// Where the part of an object or list begins; the line is known to be JSON.
fn descend(line: &str, at: usize, part: &str) -> Option<usize> {
    let open = line.as_bytes().get(at)?;
    let is_object = match open {
        b'{' => true,
        b'[' => false,
        _ => return None,
    };
    let mut at = skip_blanks(line, at + 1);
    for number in 0.. {
        if matches!(line.as_bytes().get(at), None | Some(b'}' | b']')) {
            return None;
        }
        let mut found = !is_object && number.to_string() == part;
        if is_object {
            let end = skip_value(line, at);
            let key: Option<String> = serde_json::from_str(&line[at..end]).ok();
            found = key.as_deref() == Some(part);
            // Over the colon.
            at = skip_blanks(line, skip_blanks(line, end) + 1);
        }
        if found {
            return Some(at);
        }
        at = skip_blanks(line, skip_value(line, at));
        if line.as_bytes().get(at) == Some(&b',') {
            at = skip_blanks(line, at + 1);
        }
    }
    None
}

fn skip_blanks(line: &str, from: usize) -> usize {
    let blanks = line.as_bytes().iter().skip(from);
    from.min(line.len()) + blanks.take_while(|it| it.is_ascii_whitespace()).count()
}

/// The end of the value that begins here.
fn skip_value(line: &str, from: usize) -> usize {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in line.bytes().enumerate().skip(from) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => {
                in_text = !in_text;
                if !in_text && depth == 0 {
                    return at + 1;
                }
            }
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + usize::from(depth == 1),
            b'}' | b']' => depth -= 1,
            b',' | b':' if depth == 0 => return at,
            _ => {}
        }
    }
    line.len()
}
