use std::borrow::Cow;

use super::*;

fn is_json(text: &str) -> bool {
    let mut reader = Reader::new(text.as_bytes());
    reader.skip().and_then(|()| reader.end()).is_ok()
}

fn text(raw: &str) -> Text<'_> {
    Reader::new(raw.as_bytes()).text().unwrap()
}

#[test]
fn only_json_is_read() {
    let good = r#"
        0|-0|1.5|1e5|-0.1E+2|1E-2|true|false|null|""|[ ]|[[],{}]|{"a":[1,{"b":null}],"a":2}
        "\"\\\/\b\f\n\r\t\u00e9\uD83D"|"é🎈"|"what goes on for so long that many of its bytes are looked at at a time\n"
    "#;
    let bad = r#"
        -|01|1.|.5|1e|+1|1e+|--1|tru|truee|nul|NaN|Infinity|[1,]|[,1]|[1 2]|[1}|[|{|]|{"a"}|{"a":}|{"a":1,}|{a:1}
        {1:1}|{"a":1]|"|"\|"\"|"\x"|"\u12"|"\u12g4"|"\u+123"|1 1|{}{}|'a'|/**/1
    "#;
    for text in good.trim().split(['|', '\n']) {
        assert!(is_json(text), "{text}");
    }
    for text in bad.trim().split(['|', '\n']) {
        assert!(!is_json(text), "{text}");
    }
    assert!(is_json("\t{\r\n} ") && is_json("\"\u{7f}\""));
    assert!(!is_json("") && !is_json(" ") && !is_json("\"\t\"") && !is_json("\u{feff}1"));
}

#[test]
fn containers_are_followed_to_a_depth() {
    let nested = |depth: usize, core: &str| format!("{}{core}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(is_json(&nested(MAX_DEPTH, "1")) && is_json(&nested(MAX_DEPTH, "[]")));
    assert!(!is_json(&nested(MAX_DEPTH + 1, "1")) && !is_json(&nested(100_000, "")));
}

#[test]
fn bytes_are_counted_as_in_utf8() {
    for (raw, bytes) in [
        (r#""é""#, 2),
        (r#""\u00e9\n\/\u007f""#, 5),
        (r#""\u07ff\u0800\uffff""#, 8),
        (r#""\ud83d\ude00""#, 4),
        (r#""\ud83d""#, 2),
    ] {
        assert_eq!(text(raw).bytes(), bytes, "{raw}");
    }
}

#[test]
fn texts_are_unescaped() {
    let written = r#""a\u0062\/\"\\\n\t\r\b\f\u0001\u4e2d\uD83D\uDE00 \ud83d!\ude00\ud83d\u0041""#;
    let meant = b"ab/\"\\\n\t\r\x08\x0c\x01\xe4\xb8\xad\xf0\x9f\x98\x80 \xed\xa0\xbd!\xed\xb8\x80\xed\xa0\xbdA";
    assert_eq!(*text(written).unescaped(), *meant);
    assert!(text(r#""\u0075ser""#).is("user") && text(r#""user""#).is("user") && !text(r#""users""#).is("user"));
}

#[test]
fn canonical_texts_have_one_spelling() {
    let spellings = [
        r#""a\u002f\u0022\u005C\u000a\u001F\u00e9""#,
        r#""\u0061\/\"\\\n\u001fé""#,
    ];
    for spelling in spellings {
        assert_eq!(*text(spelling).canonical(), *"a/\\\"\\\\\\n\\u001fé".as_bytes());
    }
    assert!(matches!(text(r#""\n\\u0041\"""#).canonical(), Cow::Borrowed(_)));
}

#[test]
fn parts_do_not_split_escapes() {
    let whole = text(r#""a\\\\n\u0041""#);
    assert_eq!(whole.part(0, 2).raw, br"a\\");
    assert_eq!(whole.part(3, 5).raw, br"\\");
    assert_eq!(whole.part(4, 90).raw, br"n\u0041");
    // Escapes that are cut stand for something or nothing.
    for to in 0..=whole.raw.len() {
        whole.part(0, to).canonical();
        whole.part(0, to).unescaped();
    }
}

#[test]
fn trees_hold_whole_documents() {
    let value = Value::parse(br#"{"a": [1.5, "x", true, null], "b": 1, "\u0062": {"c": false}}"#).unwrap();
    let list = value.get("a").and_then(Value::as_list).unwrap();
    assert_eq!(
        (list[0].as_number(), list[2].as_bool(), &list[3]),
        (Some(1.5), Some(true), &Value::Null)
    );
    assert!(list[1].as_text().unwrap().is("x"));
    assert_eq!(value.get("b").and_then(|b| b.get("c")), Some(&Value::Bool(false)));
    assert_eq!(value.get("c"), None);
    assert_eq!(Value::parse(b"{} x"), None);
}

#[test]
fn positions_bound_values() {
    let written = br#" { "a" : [1, 2] , "b":-1.5e3 } "#;
    let (mut reader, mut values) = (Reader::new(written), Vec::new());
    let visit = |reader: &mut Reader, _: Text| {
        let from = reader.position();
        reader.skip()?;
        values.push(&written[from..reader.position()]);
        Ok(())
    };
    reader.fields(visit).unwrap();
    assert_eq!(values, [&b"[1, 2]"[..], b"-1.5e3"]);
    assert_eq!(Reader::new(b" -1.5e3").number(), Ok(-1500.0));
    assert_eq!(Reader::new(b"1e999").number(), Ok(f64::INFINITY));
}
