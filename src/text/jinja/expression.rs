//! Reads expressions: words become a tree.

use super::Out;
use super::lex::Word;
use super::tree::{Arguments, Expression, HIGHEST, Kind, node};

/// Words that are read one after the other.
pub(super) struct Reader {
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
    depth: usize,
}

impl Reader {
    pub(super) fn new(words: Vec<Word>) -> Self {
        Self { words: words.into_iter().peekable(), depth: 0 }
    }

    pub(super) fn is_over(&mut self) -> bool {
        self.words.peek().is_none()
    }

    /// Takes the sign if it is next.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        self.words.next_if(|word| matches!(word, Word::Sign(next) if *next == sign)).is_some()
    }

    /// Takes the word if it is next.
    pub(super) fn word(&mut self, name: &str) -> bool {
        self.words.next_if(|word| matches!(word, Word::Name(next) if next == name)).is_some()
    }

    pub(super) fn name(&mut self) -> Out<String> {
        match self.words.next() {
            Some(Word::Name(name)) => Ok(name),
            _ => Err("a name is missing".into()),
        }
    }

    pub(super) fn expect(&mut self, sign: &str) -> Out<()> {
        if self.sign(sign) { Ok(()) } else { Err(format!("the sign {sign} is missing")) }
    }

    pub(super) fn expect_word(&mut self, name: &str) -> Out<()> {
        if self.word(name) { Ok(()) } else { Err(format!("the word {name} is missing")) }
    }

    /// That a tag has no more words.
    pub(super) fn end(&mut self) -> Out<()> {
        if self.is_over() { Ok(()) } else { Err("a tag holds more than it may".into()) }
    }

    /// An expression, or several with commas between them, which are a list.
    pub(super) fn expressions(&mut self) -> Out<Expression> {
        let first = self.expression()?;
        if !self.sign(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while !self.is_over() {
            items.push(self.expression()?);
            if !self.sign(",") {
                break;
            }
        }
        node(Kind::List(items))
    }

    /// One expression.
    pub(super) fn expression(&mut self) -> Out<Expression> {
        // Each level of parentheses takes some ten calls.
        self.depth += 1;
        if self.depth > HIGHEST / 4 {
            return Err("an expression is nested too deeply".into());
        }
        let mut first = self.or()?;
        while self.word("if") {
            let condition = self.or()?;
            let second =
                if self.word("else") { self.expression()? } else { node(Kind::Undefined)? };
            first = node(Kind::Choice(Box::new([condition, first, second])))?;
        }
        self.depth -= 1;
        Ok(first)
    }

    /// An expression without `if`: what a loop goes through.
    pub(super) fn or(&mut self) -> Out<Expression> {
        let mut left = self.and()?;
        while self.word("or") {
            left = node(Kind::Or(Box::new([left, self.and()?])))?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Out<Expression> {
        let mut left = self.not()?;
        while self.word("and") {
            left = node(Kind::And(Box::new([left, self.not()?])))?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Out<Expression> {
        let mut times = 0;
        while self.word("not") {
            times += 1;
        }
        let mut of = self.compare()?;
        for _ in 0..times {
            of = node(Kind::Not(Box::new(of)))?;
        }
        Ok(of)
    }

    fn compare(&mut self) -> Out<Expression> {
        let first = self.binary(0)?;
        let mut others = Vec::new();
        loop {
            let operator = if let Some(sign) = self.one_of(&["==", "!=", "<=", ">=", "<", ">"]) {
                sign
            } else if self.word("in") {
                "in"
            } else if self.word("not") {
                self.expect_word("in")?;
                "not in"
            } else {
                break;
            };
            others.push((operator, self.binary(0)?));
        }
        if others.is_empty() { Ok(first) } else { node(Kind::Compare(Box::new(first), others)) }
    }

    fn one_of(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        signs.iter().find(|sign| self.sign(sign)).copied()
    }

    /// Operators of two, from those that bind least.
    fn binary(&mut self, level: usize) -> Out<Expression> {
        const LEVELS: [&[&str]; 4] = [&["+", "-"], &["~"], &["*", "//", "/", "%"], &["**"]];
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(sign) = self.one_of(signs) {
            left = node(Kind::Binary(sign, Box::new([left, self.binary(level + 1)?])))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Out<Expression> {
        let mut times = 0;
        while let Some(sign) = self.one_of(&["-", "+"]) {
            times += usize::from(sign == "-");
        }
        let primary = self.primary()?;
        let mut of = self.postfix(primary)?;
        for _ in 0..times {
            of = node(Kind::Negative(Box::new(of)))?;
        }
        self.filters(of)
    }

    fn primary(&mut self) -> Out<Expression> {
        let kind = match self.words.next().ok_or("an expression is missing")? {
            Word::Int(number) => Kind::Int(number),
            Word::Float(number) => Kind::Float(number),
            Word::Text(mut text) => {
                while let Some(Word::Text(more)) =
                    self.words.next_if(|word| matches!(word, Word::Text(_)))
                {
                    text.push_str(&more);
                }
                Kind::Text(text)
            }
            Word::Name(name) => match name.as_str() {
                "true" | "True" => Kind::Bool(true),
                "false" | "False" => Kind::Bool(false),
                "none" | "None" => Kind::None,
                _ => Kind::Name(name),
            },
            Word::Sign("(") => {
                if self.sign(")") {
                    return node(Kind::List(Vec::new()));
                }
                let first = self.expression()?;
                if self.sign(")") {
                    return Ok(first);
                }
                self.expect(",")?;
                let mut items = vec![first];
                items.extend(self.list(")")?);
                Kind::List(items)
            }
            Word::Sign("[") => Kind::List(self.list("]")?),
            Word::Sign("{") => {
                let mut entries = Vec::new();
                while !self.sign("}") {
                    let key = self.expression()?;
                    self.expect(":")?;
                    entries.push((key, self.expression()?));
                    if !self.sign(",") {
                        self.expect("}")?;
                        break;
                    }
                }
                Kind::Map(entries)
            }
            Word::Sign(sign) => return Err(format!("the sign {sign} stands where it may not")),
        };
        node(kind)
    }

    /// The rest of a list, up to its end.
    fn list(&mut self, end: &str) -> Out<Vec<Expression>> {
        let mut items = Vec::new();
        while !self.sign(end) {
            items.push(self.expression()?);
            if !self.sign(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(items)
    }

    fn postfix(&mut self, mut of: Expression) -> Out<Expression> {
        loop {
            let kind = if self.sign(".") {
                match self.words.next() {
                    Some(Word::Name(name)) if self.sign("(") => {
                        Kind::Method(Box::new(of), name, self.arguments()?)
                    }
                    Some(Word::Name(name)) => Kind::Attribute(Box::new(of), name),
                    Some(Word::Int(number)) => Kind::Item(Box::new([of, node(Kind::Int(number))?])),
                    _ => return Err("a name is missing after a point".into()),
                }
            } else if self.sign("[") {
                self.item(of)?
            } else if self.sign("(") {
                let Kind::Name(name) = of.kind else {
                    return Err("it calls what has no name".into());
                };
                Kind::Call(name, self.arguments()?)
            } else {
                return Ok(of);
            };
            of = node(kind)?;
        }
    }

    fn item(&mut self, of: Expression) -> Out<Kind> {
        let mut parts = Vec::new();
        loop {
            let is_empty = matches!(self.words.peek(), Some(Word::Sign(":" | "]")));
            parts.push(if is_empty { node(Kind::Undefined)? } else { self.expression()? });
            if self.sign("]") {
                break;
            }
            self.expect(":")?;
        }
        let mut parts = parts.into_iter();
        let undefined = || node(Kind::Undefined);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Expression { kind: Kind::Undefined, .. }) | None, None, ..) => {
                Err("an item's number is missing".into())
            }
            (Some(item), None, ..) => Ok(Kind::Item(Box::new([of, item]))),
            (from, to, step, None) => {
                let part = |part: Option<Expression>| part.map_or_else(undefined, Ok);
                Ok(Kind::Slice(Box::new([of, part(from)?, part(to)?, part(step)?])))
            }
            _ => Err("a slice has more than three numbers".into()),
        }
    }

    /// What stands between parentheses, the first of which was read.
    pub(super) fn arguments(&mut self) -> Out<Arguments> {
        let mut arguments = Arguments::default();
        while !self.sign(")") {
            let value = self.expression()?;
            if self.sign("=") {
                let Kind::Name(name) = value.kind else {
                    return Err("an argument's name is missing".into());
                };
                arguments.named.push((name, self.expression()?));
            } else {
                arguments.plain.push(value);
            }
            if !self.sign(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(arguments)
    }

    fn filters(&mut self, mut of: Expression) -> Out<Expression> {
        loop {
            if self.sign("|") {
                let name = self.name()?;
                let arguments =
                    if self.sign("(") { self.arguments()? } else { Arguments::default() };
                of = node(Kind::Filter(Box::new(of), name, arguments))?;
            } else if self.word("is") {
                let denied = self.word("not");
                let name = self.name()?;
                let arguments = self.test_arguments()?;
                of = node(Kind::Test(Box::new(of), name, arguments))?;
                if denied {
                    of = node(Kind::Not(Box::new(of)))?;
                }
            } else {
                return Ok(of);
            }
        }
    }

    /// In parentheses, or one value without them.
    fn test_arguments(&mut self) -> Out<Arguments> {
        if self.sign("(") {
            return self.arguments();
        }
        let takes = match self.words.peek() {
            Some(Word::Int(_) | Word::Float(_) | Word::Text(_) | Word::Sign("[" | "{")) => true,
            Some(Word::Name(name)) => {
                !["and", "or", "not", "if", "else", "in", "is", "recursive"].contains(&&**name)
            }
            _ => false,
        };
        let plain = if takes {
            let primary = self.primary()?;
            vec![self.postfix(primary)?]
        } else {
            Vec::new()
        };
        Ok(Arguments { plain, named: Vec::new() })
    }
}
