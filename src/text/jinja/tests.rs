//! Jinja2's own results, and templates that would run for ever elsewhere.
//!
//! `snippets.json` holds pairs of a template and what Jinja2 3.1.6 makes of it, in transformers'
//! environment.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

fn rendered(source: &str) -> Out<String> {
    Jinja::new(source)?.render(Vec::new())
}

#[test]
fn snippets_become_what_jinja2_makes_of_them() {
    let pairs: Vec<(String, String)> = serde_json::from_str(include_str!("snippets.json")).unwrap();
    assert!(pairs.len() > 30);
    for (source, expected) in pairs {
        assert_eq!(rendered(&source).as_ref(), Ok(&expected), "{source}");
    }
}

/// A loop that changes one entry of a namespace often.
fn often(first: &str, step: &str, last: &str) -> String {
    format!(
        "{{% set ns = namespace(x={first}) %}}{{% for i in range(4000) %}}\
         {{% set ns.x = {step} %}}{{% endfor %}}{last}"
    )
}

#[test]
fn whatever_grows_is_refused_before_it_is_large() {
    for (first, step) in [
        ("'ab'", "ns.x + ns.x"),
        ("'ab'", "ns.x ~ ns.x"),
        ("'ab'", "ns.x * 2"),
        ("'ab'", "ns.x.replace('a', ns.x)"),
        ("'ab'", "ns.x | replace('a', ns.x)"),
        ("'ab'", "ns.x.join([ns.x, ns.x, ns.x])"),
        ("'ab'", "[ns.x, ns.x] | join(ns.x)"),
        ("'a\"'", "ns.x | tojson"),
        ("[1]", "ns.x + ns.x"),
        ("[1]", "ns.x * 2"),
        ("[1]", "[ns.x, ns.x]"),
        ("[1]", "[ns.x]"),
        ("{}", "{'a': ns.x}"),
        ("{}", "dict(a=ns.x, b=ns.x)"),
        ("1", "namespace(a=ns)"),
        ("1", "ns"),
        ("1", "ns.x + ns.x"),
        ("'x'", "range(100000000)"),
        ("'x'", "'ab' * 100000000"),
        ("'x'", "[1] * 100000000"),
        ("'x'", "[] * 100000000000 + [1] * 5000"),
    ] {
        let source = often(first, step, "");
        let problem = rendered(&source).expect_err(step);
        assert!(problem.len() < 200, "{step}: {problem}");
    }
}

#[test]
fn work_is_bounded_where_nothing_grows() {
    let long = format!("{{% set t = 'a' * 60000 %}}{{% set l = [t] %}}{}", "{% set m = l + l %}");
    for step in [
        "t == t ~ ''",
        "t in t ~ ''",
        "t | upper",
        "t.strip('b')",
        "t[::-1]",
        "t.split('a') | length",
        "l == l",
        "t | list | length",
        "l | map('upper') | list",
        "t | tojson",
        "t.count('a')",
    ] {
        let source =
            format!("{long}{{% for i in range(4000) %}}{{% set x = {step} %}}{{% endfor %}}");
        rendered(&source).expect_err(step);
    }
    let deep = "{% for a in range(4000) %}{% for b in range(4000) %}{% endfor %}{% endfor %}";
    rendered(deep).unwrap_err();
    rendered("{% macro f(x) %}{{ f(x) ~ f(x) }}{% endmacro %}{{ f(1) }}").unwrap_err();
    rendered("{% for i in range(4000) %}{{ 'a' * 1000 }}{% endfor %}").unwrap_err();
}

#[test]
fn no_template_is_nested_deeper_than_the_stack() {
    let often = |before: &str, inside: &str, after: &str| {
        format!("{}{inside}{}", before.repeat(5000), after.repeat(5000))
    };
    for source in [
        format!("{{{{ {} }}}}", often("(", "1", ")")),
        format!("{{{{ {} }}}}", often("[", "1", "]")),
        format!("{{{{ {} }}}}", often("-", "1", "")),
        format!("{{{{ {} }}}}", often("not ", "1", "")),
        format!("{{{{ 1{} }}}}", often(" + 1", "", "")),
        format!("{{{{ a{} }}}}", often(".a", "", "")),
        format!("{{{{ a{} }}}}", often("|trim", "", "")),
        format!("{{{{ a{} }}}}", often(" if a", "", "")),
        format!("{{{{ 1{} }}}}", often(" if a else 1", "", "")),
        format!("{{{{ 1{} }}}}", often(" is eq 1", "", "")),
        often("{% if 1 %}", "", "{% endif %}"),
        often("{% for a in b %}", "", "{% endfor %}"),
        often("{{", "", ""),
        often("{%", "", ""),
        often("{#", "", ""),
    ] {
        rendered(&source).unwrap_err();
    }
}

#[test]
fn what_is_not_implemented_is_refused_in_one_sentence() {
    for source in [
        "{% include 'a' %}",
        "{% block a %}{% endblock %}",
        "{{ 'a'.format(1) }}",
        "{{ '%s' % 1 }}",
        "{{ 'a' | indent }}",
        "{{ [1] }}",
        "{{ {} | tojson(indent=1000000000) }}",
        "{{ a.b.c }}",
        "{{ 1 / 0 }}",
        "{{ 1 // 0 }}",
        "{{ 1 % 0 }}",
        "{{ 1 is divisibleby 0 }}",
        "{{ 'a' ~ [] }}",
        "{{ nothing() }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ 99999999999999999999 }}",
        "{{ 'a'[::0] }}",
        "{{ '\\ud800' }}",
        "{{ 'é\\",
        "{# é",
        "{{ § }}",
        "{% endif %}",
        "{% if 1 %}",
        "{% break %}",
        "{%%}",
        "{{}}",
        "{{ raise_exception('only text') }}",
    ] {
        let problem = rendered(source).expect_err(source);
        assert!(!problem.is_empty() && !problem.contains('\n'), "{source}: {problem}");
    }
}
