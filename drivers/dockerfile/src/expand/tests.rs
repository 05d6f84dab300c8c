use super::{Variables, expand, expand_words};

fn variables() -> Variables {
    let long = "/foo*/*/*.txt";
    Variables::new([
        "PWD=/home",
        "SHELL=bash",
        "NULL=",
        "K=한국어",
        "XY=xxyy",
        "F=/tmp/tmp/bar.txt",
        &format!("G={long}"),
        "STARS=a***yy*",
        "SP=  ab c  ",
        "dup=1",
        "dup=2",
    ])
}

fn of(word: &str) -> Result<String, String> {
    expand(word, '\\', &variables()).map_err(|e| e.text)
}

#[test]
fn words_become_what_a_shell_makes_of_them() {
    for (word, out) in [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        (r"he\'llo", "he'llo"),
        (r"abc\tdef", "abctdef"),
        (r#""abc\tdef""#, r"abc\tdef"),
        (r#""abc\\tdef""#, r"abc\tdef"),
        (r"'abc\tdef'", r"abc\tdef"),
        (r"hello\", "hello"),
        (r"hello\\", r"hello\"),
        (r#""hel'lo""#, "hel'lo"),
        (r"'hello\'", r"hello\"),
        ("$.", "$."),
        ("he$1x", "hex"),
        ("he$PWD", "he/home"),
        (r"he\$PWD", "he$PWD"),
        (r"he\\$PWD", r"he\/home"),
        (r"\${}", "${}"),
        ("he${hi}xx", "hexx"),
        ("he${PWD}", "he/home"),
        ("he${XXX:-000}xx", "he000xx"),
        ("he${PWD:-000}xx", "he/homexx"),
        ("he${XXX:-${PWD:-yyy}}xx", "he/homexx"),
        ("he${PWD?}", "he/home"),
        ("he${NULL?}", "he"),
        ("he${XXX:+000}xx", "hexx"),
        ("he${PWD:+${SHELL}}xx", "hebashxx"),
        ("${NULL-a}${NULL:-b}", "b"),
        ("${NULL+a}${NULL:+b}", "a"),
        ("'he${XX}'", "he${XX}"),
        (r#""he'$PWD'""#, "he'/home'"),
        (r"he${XXX:-\${PWD}z}xx", "he${PWDz}xx"),
        ("안$K", "안한국어"),
        ("${aaa:-bbb {foo}", "bbb {foo"),
        ("${aaa}}", "}"),
        ("$999aaa", "aaa"),
        ("$@@@", "@@"),
        ("${#:-b}", "b"),
        ("$$", ""),
        ("$dup", "2"),
        ("a<b<<c", "a<b<<c"),
    ] {
        assert_eq!(of(word).as_deref(), Ok(out), "{word}");
    }
}

#[test]
fn patterns_cut_and_replace() {
    for (word, out) in [
        ("${XY#*x}", "xyy"),
        ("${XY##*x}", "yy"),
        ("${XY%y}", "xxy"),
        ("${XY%%y*}", "xx"),
        ("${XY#*}", "xxyy"),
        ("${XY##}", "xxyy"),
        ("${F/\\/tmp/}", "/tmp/bar.txt"),
        ("${F//\\/tmp/}", "/bar.txt"),
        ("${XY/?/.}", ".xyy"),
        ("${XY//x/$SHELL}", "bashbashyy"),
        (r"${STARS%%\**\*}", "a"),
        ("${XY/$NULL/ww}", "wwxxyy"),
        ("${none/x/y}", ""),
        ("${G//\\*\\//.}", "/foo..*.txt"),
        (r"${XY#\}}", "xxyy"),
    ] {
        assert_eq!(of(word).as_deref(), Ok(out), "{word}");
    }
}

#[test]
fn what_is_no_word_is_refused() {
    for (word, error) in [
        ("he'llo", "unexpected end of statement while looking for matching single-quote"),
        ("\"hello\\\"", "unexpected end of statement while looking for matching double-quote"),
        ("${}", "syntax error: bad substitution"),
        ("${:-bbb}", "syntax error: bad substitution"),
        ("${{aaa}", "syntax error: bad substitution"),
        ("he${PWD", "unsupported modifier (\u{fffd}) in substitution"),
        ("${", "syntax error: missing '}'"),
        ("${aaa:-bbb", "syntax error: missing '}'"),
        ("he${.}", "unsupported modifier (.) in substitution"),
        ("he${PWD:=000}xx", "unsupported modifier (:=) in substitution"),
        ("${XY:#x}", "unsupported modifier (:#) in substitution"),
        ("${XXX?}", "XXX: is not allowed to be unset"),
        ("${NULL:?}", "NULL: is not allowed to be empty"),
        ("${XXX?says why}", "XXX: says why"),
        ("${XY//x}", "syntax error: missing '/' in ${}"),
        (r"${XY#\a}", r"invalid pattern (\a) in substitution: invalid escape '\a'"),
    ] {
        assert_eq!(of(word), Err(error.to_owned()), "{word}");
    }
}

#[test]
fn words_part_at_white_space_that_is_not_quoted() {
    let of = |word: &str| expand_words(word, '\\', &variables()).unwrap();
    assert_eq!(of("x${SP}y"), ["x", "ab", "c", "y"]);
    assert_eq!(of("x\"${SP}\"y"), ["x  ab c  y"]);
    assert_eq!(of(r"a\ b  c"), ["a b", "c"]);
    assert_eq!(of("1${none:-2}3"), ["123"]);
    assert_eq!(of("$none"), [""; 0]);
}

#[test]
fn words_cannot_grow_without_bound() {
    let big = "x".repeat(1 << 19);
    let variables = Variables::new([format!("a={big}")]);
    for word in ["$a$a$a$a", "\"$a$a$a$a\"", "${a//x/$a}"] {
        assert!(expand(word, '\\', &variables).unwrap_err().text.contains("larger than"), "{word}");
    }
    let deep = format!("{}{}", "${a:+".repeat(5_000), "}".repeat(5_000));
    assert!(expand(&deep, '\\', &variables).unwrap_err().text.contains("nested"));
}
