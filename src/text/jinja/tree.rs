//! The tree of an expression, of bounded height.

use super::Out;

/// The highest tree: it is walked, and dropped, by recursion.
pub(super) const HIGHEST: usize = 100;

/// An expression and how high its tree is.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) kind: Kind,
    height: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    Undefined,
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Name(String),
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
    /// `a.b`
    Attribute(Box<Expression>, String),
    /// `a[b]`
    Item(Box<[Expression; 2]>),
    /// `a[from:to:step]`, what is left out undefined.
    Slice(Box<[Expression; 4]>),
    /// `a.b(…)`
    Method(Box<Expression>, String, Arguments),
    /// `a(…)`
    Call(String, Arguments),
    /// `a | b(…)`
    Filter(Box<Expression>, String, Arguments),
    /// `a is b(…)`
    Test(Box<Expression>, String, Arguments),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    And(Box<[Expression; 2]>),
    Or(Box<[Expression; 2]>),
    /// An operator of two numbers or texts.
    Binary(&'static str, Box<[Expression; 2]>),
    /// `a < b <= c`: the first, and each operator with what follows it.
    Compare(Box<Expression>, Vec<(&'static str, Expression)>),
    /// `a if b else c`, as condition, first, second.
    Choice(Box<[Expression; 3]>),
}

/// What stands between a call's parentheses.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) plain: Vec<Expression>,
    pub(super) named: Vec<(String, Expression)>,
}

impl Arguments {
    fn all(&self) -> impl Iterator<Item = &Expression> {
        self.plain.iter().chain(self.named.iter().map(|(_, value)| value))
    }
}

impl Kind {
    fn inside(&self) -> Vec<&Expression> {
        match self {
            Kind::Undefined
            | Kind::None
            | Kind::Bool(_)
            | Kind::Int(_)
            | Kind::Float(_)
            | Kind::Text(_)
            | Kind::Name(_) => Vec::new(),
            Kind::List(items) => items.iter().collect(),
            Kind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Kind::Attribute(of, _) | Kind::Not(of) | Kind::Negative(of) => vec![of],
            Kind::Item(pair) | Kind::And(pair) | Kind::Or(pair) | Kind::Binary(_, pair) => {
                pair.iter().collect()
            }
            Kind::Slice(parts) => parts.iter().collect(),
            Kind::Choice(parts) => parts.iter().collect(),
            Kind::Method(of, _, arguments)
            | Kind::Filter(of, _, arguments)
            | Kind::Test(of, _, arguments) => arguments.all().chain([&**of]).collect(),
            Kind::Call(_, arguments) => arguments.all().collect(),
            Kind::Compare(first, others) => {
                others.iter().map(|(_, other)| other).chain([&**first]).collect()
            }
        }
    }
}

/// An expression, if its tree is not too high.
pub(super) fn node(kind: Kind) -> Out<Expression> {
    let height = 1 + kind.inside().into_iter().map(|part| part.height).max().unwrap_or(0);
    if height > HIGHEST {
        return Err("an expression has too many parts in a row".into());
    }
    Ok(Expression { kind, height })
}
