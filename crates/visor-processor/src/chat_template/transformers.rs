//! What `transformers` adds to Jinja for chat templates (`utils/chat_template_utils.py`): a way to
//! raise, the time of day, and JSON as Python writes it.

use super::Clock;
use chrono::format::{Item, StrftimeItems};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use std::fmt::Write as _;
use std::io;

/// Most spaces of an indentation.
const MAX_INDENT: usize = 64;

/// Adds all of it.
pub(super) fn add(environment: &mut Environment<'static>, clock: Clock) {
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", move |format: String| now(clock, &format));
    environment.add_filter("tojson", to_json);
}

/// The local time, written as C's `strftime` does.
fn now(clock: Clock, format: &str) -> Result<String, Error> {
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    let wrong = || {
        let says = format!("strftime_now: {format:?} is no format of a time");
        Error::new(ErrorKind::InvalidOperation, says)
    };
    if items.contains(&Item::Error) {
        return Err(wrong());
    }
    let mut text = String::new();
    // A time zone is asked for by some formats, and a local time has none.
    write!(text, "{}", clock().format_with_items(items.iter())).map_err(|_| wrong())?;
    Ok(text)
}

/// `json.dumps(value, ensure_ascii=False, ...)`: unlike Jinja's own filter nothing is escaped for
/// HTML, and there is a space behind commas and colons.
#[expect(clippy::needless_pass_by_value, reason = "filters are given their options so")]
fn to_json(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let named: Option<Value> = options.get("indent")?;
    let separators: Option<(String, String)> = match options.get::<Option<Value>>("separators")? {
        None => None,
        Some(pair) => Some(separators(&pair)?),
    };
    for (option, only) in [("ensure_ascii", false), ("sort_keys", false)] {
        if options.get::<Option<bool>>(option)?.is_some_and(|given| given != only) {
            let says = format!("tojson: {option} is not supported");
            return Err(Error::new(ErrorKind::InvalidOperation, says));
        }
    }
    options.assert_all_used()?;
    let indent = indent.or(named).filter(|indent| !indent.is_none());
    let indent = indent.map(usize::try_from).transpose()?;
    match indent {
        Some(indent) if indent > MAX_INDENT => {
            let says = format!("tojson: indent is {indent}, expected at most {MAX_INDENT}");
            Err(Error::new(ErrorKind::InvalidOperation, says))
        }
        Some(_) if separators.is_some() => {
            let says = "tojson: separators with an indent are not supported";
            Err(Error::new(ErrorKind::InvalidOperation, says))
        }
        Some(indent) => {
            let spaces = " ".repeat(indent);
            let pretty = PrettyFormatter::with_indent(spaces.as_bytes());
            written(value, pretty)
        }
        None => {
            let (item, key) = separators.unwrap_or_else(|| (", ".to_owned(), ": ".to_owned()));
            written(value, Separated { item, key, compact: CompactFormatter })
        }
    }
}

fn separators(pair: &Value) -> Result<(String, String), Error> {
    let both: Vec<String> = pair.try_iter()?.map(|one| one.to_string()).collect();
    match <[String; 2]>::try_from(both) {
        Ok([item, key]) => Ok((item, key)),
        Err(_) => {
            let says = "tojson: expected two separators, for items and for keys";
            Err(Error::new(ErrorKind::InvalidOperation, says))
        }
    }
}

fn written(value: &Value, formatter: impl Formatter) -> Result<String, Error> {
    let cannot = |says: String| Error::new(ErrorKind::InvalidOperation, format!("tojson: {says}"));
    let mut bytes = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|error| cannot(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| cannot(error.to_string()))
}

/// In one line, with separators of one's own.
struct Separated {
    item: String,
    key: String,
    compact: CompactFormatter,
}

impl Formatter for Separated {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }

    fn write_null<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.compact.write_null(writer)
    }
}

#[cfg(test)]
mod tests {
    use crate::chat::Message;
    use crate::chat_template::ChatTemplate;
    use chrono::{NaiveDate, NaiveDateTime};
    use std::collections::BTreeMap;

    fn noon() -> NaiveDateTime {
        let day = NaiveDate::from_ymd_opt(2024, 7, 4).expect("a day");
        day.and_hms_opt(12, 5, 9).expect("a time")
    }

    fn rendered(template: &str) -> Result<String, String> {
        let template = ChatTemplate::parse(template, BTreeMap::new(), noon).expect("a template");
        let asked = [Message::question("Was <a> & \"b\"?", 1)];
        template.render(&asked).map_err(|error| error.to_string())
    }

    #[test]
    fn the_time_is_written_as_templates_ask_for_it() {
        let written = rendered("{{ strftime_now('%d %B %Y, %H:%M') }}{{ strftime_now('%%%-d') }}");
        assert_eq!(written.as_deref(), Ok("04 July 2024, 12:05%4"));
        // As templates guard it.
        let guarded = "{% if strftime_now is defined %}{% set day = strftime_now('%Y-%m-%d') %}\
                       {{ day }}{% endif %}";
        assert_eq!(rendered(guarded).as_deref(), Ok("2024-07-04"));
        for wrong in ["%Q!", "%z", "%"] {
            let error = rendered(&format!("{{{{ strftime_now('{wrong}') }}}}")).expect_err(wrong);
            assert!(error.contains("is no format of a time"), "{error}");
        }
    }

    #[test]
    fn json_is_what_python_writes() {
        let parts =
            "[{\"type\": \"image\"}, {\"type\": \"text\", \"text\": \"Was <a> & \\\"b\\\"?\"}]";
        assert_eq!(rendered("{{ messages[0].content | tojson }}").as_deref(), Ok(parts));
        assert_eq!(
            rendered("{{ [1, [], {}] | tojson(indent=1) }}").as_deref(),
            Ok("[\n 1,\n [],\n {}\n]")
        );
        let tight = "{{ {'a': [1, 2.0, none]} | tojson(separators=[',', ':']) }}";
        assert_eq!(rendered(tight).as_deref(), Ok("{\"a\":[1,2.0,null]}"));
        assert_eq!(
            rendered("{{ 'Grüße' | tojson(ensure_ascii=false) }}").as_deref(),
            Ok("\"Grüße\"")
        );
        for (wrong, says) in [
            ("{{ 1 | tojson(ensure_ascii=true) }}", "ensure_ascii is not supported"),
            ("{{ 1 | tojson(indent=999) }}", "expected at most 64"),
            ("{{ 1 | tojson(separators=[',']) }}", "two separators"),
            ("{{ 1 | tojson(colour=1) }}", "colour"),
        ] {
            let error = rendered(wrong).expect_err(wrong);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn loops_can_be_left_and_what_is_not_offered_is_none() {
        let loops = "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}\
                     {% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}";
        assert_eq!(rendered(loops).as_deref(), Ok("02"));
        let offered = "{% if tools is not none %}tools{% endif %}\
                       {% if documents is none %}no documents{% endif %}";
        assert_eq!(rendered(offered).as_deref(), Ok("no documents"));
        let kept = "{% set seen = namespace(n=0) %}{% for m in messages %}{% set seen.n = seen.n + 1 %}\
                    {% endfor %}{{ seen.n }}";
        assert_eq!(rendered(kept).as_deref(), Ok("1"));
    }

    #[test]
    fn methods_of_pythons_texts_and_maps_are_there() {
        let methods = "{% for m in messages %}{% for k, v in m.content[1].items() %}{{ k }} {% endfor %}\
                       {{ m.role.upper() }} {{ m.get('x', 'y') }} {{ ' z '.strip() }}\
                       {{ 'a-b'.split('-')[-1] }}{{ m.role.startswith('us') }}{% endfor %}";
        assert_eq!(rendered(methods).as_deref(), Ok("type text USER y zbTrue"));
    }
}
