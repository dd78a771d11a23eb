//! Lists of texts as Python prints them, which some columns hold as one text.

use std::iter::Peekable;
use std::str::Chars;

/// The texts of `['a', "it's"]`.
pub(super) fn strings(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("expected a list of texts as ['a', 'b'], not {text:?}");
    let mut rest = text.trim().chars().peekable();
    if rest.next() != Some('[') {
        return Err(wrong());
    }
    let mut found = Vec::new();
    loop {
        match after_space(&mut rest) {
            Some(quote @ ('\'' | '"')) => {
                found.push(until(quote, &mut rest).ok_or_else(wrong)?);
                match after_space(&mut rest) {
                    Some(',') => {}
                    Some(']') => break,
                    _ => return Err(wrong()),
                }
            }
            Some(']') => break,
            _ => return Err(wrong()),
        }
    }
    if rest.next().is_some() { Err(wrong()) } else { Ok(found) }
}

fn after_space(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
    rest.next()
}

/// What stands before the next `quote`, and is consumed with it.
fn until(quote: char, rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    loop {
        let c = match rest.next()? {
            c if c == quote => return Some(text),
            '\\' => match rest.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => coded(rest, 2)?,
                'u' => coded(rest, 4)?,
                'U' => coded(rest, 8)?,
                c @ ('\'' | '"' | '\\') => c,
                _ => return None,
            },
            c => c,
        };
        text.push(c);
    }
}

fn coded(rest: &mut Peekable<Chars<'_>>, digits: usize) -> Option<char> {
    let digits = (0..digits).map(|_| rest.next_if(char::is_ascii_hexdigit));
    let code: String = digits.collect::<Option<_>>()?;
    char::from_u32(u32::from_str_radix(&code, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::strings;

    #[test]
    fn a_python_list_is_read_with_its_quotes_and_escapes() {
        let read = |text: &str| strings(text).expect("a list");
        assert_eq!(read("['a', 'b c']"), ["a", "b c"]);
        assert_eq!(
            read(r#" [ "it's" , 'say "x"' , 'it\'s \\ \t\x41\u00e9' ] "#),
            ["it's", "say \"x\"", "it's \\ \tA\u{e9}"]
        );
        assert_eq!(read("['Kölsch', 'a, b]',]"), ["Kölsch", "a, b]"]);
        assert!(read("[]").is_empty());
        for wrong in ["", "a", "['a'", "['a]", "['a' 'b']", "[a]", "['a'] x", r"['\q']", r"['\x4']"]
        {
            let error = strings(wrong).expect_err(wrong);
            assert!(error.contains("expected a list of texts"), "{error}");
        }
    }
}
