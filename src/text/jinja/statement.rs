//! Statements: the tags of a template and what stands between them.

use super::Out;
use super::expression::Reader;
use super::lex::Piece;
use super::tree::{Expression, Kind};

/// How deep blocks may lie in blocks.
const DEEPEST: usize = 30;

/// A template, read.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) body: Vec<Step>,
    pub(super) macros: Vec<Macro>,
}

#[derive(Debug)]
pub(super) struct Macro {
    pub(super) name: String,
    /// Names, and what they are if they are not given.
    pub(super) parameters: Vec<(String, Option<Expression>)>,
    pub(super) body: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    Text(String),
    Print(Expression),
    /// Conditions with their bodies, and the body where none holds.
    If(Vec<(Expression, Vec<Step>)>, Vec<Step>),
    For(Box<Loop>),
    Set(Vec<Target>, Expression),
    /// What a body writes, as a variable.
    SetBlock(Target, Vec<Step>),
    Macro(usize),
    Do(Expression),
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct Loop {
    pub(super) names: Vec<String>,
    pub(super) over: Expression,
    pub(super) only: Option<Expression>,
    pub(super) body: Vec<Step>,
    pub(super) otherwise: Vec<Step>,
}

/// A variable, or an entry of a namespace.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) entry: Option<String>,
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    macros: Vec<Macro>,
    depth: usize,
}

/// The tag that ended a body, and its other words.
type End = (String, Reader);

impl Program {
    pub(super) fn read(pieces: Vec<Piece>) -> Out<Self> {
        let mut parser = Parser { pieces: pieces.into_iter(), macros: Vec::new(), depth: 0 };
        let (body, end) = parser.body(&[])?;
        match end {
            None => Ok(Program { body, macros: parser.macros }),
            Some((tag, _)) => Err(format!("the tag {tag} ends what was not begun")),
        }
    }
}

impl Parser {
    /// What follows, up to one of the tags in `ends` or the template's end.
    fn body(&mut self, ends: &[&str]) -> Out<(Vec<Step>, Option<End>)> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("its blocks are nested too deeply".into());
        }
        let mut steps = Vec::new();
        while let Some(piece) = self.pieces.next() {
            match piece {
                Piece::Text(text) => steps.push(Step::Text(text)),
                Piece::Print(words) => {
                    let mut words = Reader::new(words);
                    steps.push(Step::Print(words.expressions()?));
                    words.end()?;
                }
                Piece::Tag(words) => {
                    let mut words = Reader::new(words);
                    let tag = words.name()?;
                    if ends.contains(&&*tag) {
                        self.depth -= 1;
                        return Ok((steps, Some((tag, words))));
                    }
                    steps.extend(self.tag(&tag, &mut words)?);
                    words.end()?;
                }
            }
        }
        self.depth -= 1;
        if ends.is_empty() { Ok((steps, None)) } else { Err(format!("{} is missing", ends[0])) }
    }

    /// A body that one of these tags must end.
    fn block(&mut self, ends: &[&str]) -> Out<(Vec<Step>, End)> {
        let (steps, end) = self.body(ends)?;
        end.map(|end| (steps, end)).ok_or_else(|| "a block does not end".into())
    }

    fn tag(&mut self, tag: &str, words: &mut Reader) -> Out<Option<Step>> {
        let step = match tag {
            "if" => self.condition(words)?,
            "for" => self.each(words)?,
            "set" => self.set(words)?,
            "macro" => self.definition(words)?,
            "do" => Step::Do(words.expression()?),
            "break" => Step::Break,
            "continue" => Step::Continue,
            // They mark what is trained and change nothing.
            "generation" | "endgeneration" => return Ok(None),
            other => return Err(format!("the tag {other} is not known")),
        };
        Ok(Some(step))
    }

    fn condition(&mut self, words: &mut Reader) -> Out<Step> {
        let mut condition = words.expression()?;
        words.end()?;
        let mut branches = Vec::new();
        loop {
            let (body, (tag, mut words)) = self.block(&["endif", "elif", "else"])?;
            branches.push((condition, body));
            match tag.as_str() {
                "elif" => condition = words.expression()?,
                "else" => {
                    words.end()?;
                    let (otherwise, _) = self.block(&["endif"])?;
                    return Ok(Step::If(branches, otherwise));
                }
                _ => return Ok(Step::If(branches, Vec::new())),
            }
            words.end()?;
        }
    }

    fn each(&mut self, words: &mut Reader) -> Out<Step> {
        let is_in_parentheses = words.sign("(");
        let mut names = vec![words.name()?];
        while words.sign(",") {
            names.push(words.name()?);
        }
        if is_in_parentheses {
            words.expect(")")?;
        }
        words.expect_word("in")?;
        let over = words.or()?;
        let only = if words.word("if") { Some(words.expression()?) } else { None };
        words.end()?;
        let (body, (tag, _)) = self.block(&["endfor", "else"])?;
        let otherwise = if tag == "else" { self.block(&["endfor"])?.0 } else { Vec::new() };
        Ok(Step::For(Box::new(Loop { names, over, only, body, otherwise })))
    }

    fn set(&mut self, words: &mut Reader) -> Out<Step> {
        let mut targets = Vec::new();
        loop {
            let name = words.name()?;
            let entry = if words.sign(".") { Some(words.name()?) } else { None };
            targets.push(Target { name, entry });
            if !words.sign(",") {
                break;
            }
        }
        if words.sign("=") {
            return Ok(Step::Set(targets, words.expressions()?));
        }
        words.end()?;
        match (targets.pop(), targets.is_empty()) {
            (Some(target), true) => Ok(Step::SetBlock(target, self.block(&["endset"])?.0)),
            _ => Err("a block is set to one variable".into()),
        }
    }

    fn definition(&mut self, words: &mut Reader) -> Out<Step> {
        let name = words.name()?;
        words.expect("(")?;
        let given = words.arguments()?;
        words.end()?;
        let mut parameters = Vec::new();
        for parameter in given.plain {
            let Kind::Name(name) = parameter.kind else {
                return Err("a macro's parameter has no name".into());
            };
            parameters.push((name, None));
        }
        parameters.extend(given.named.into_iter().map(|(name, value)| (name, Some(value))));
        let (body, _) = self.block(&["endmacro"])?;
        self.macros.push(Macro { name, parameters, body });
        Ok(Step::Macro(self.macros.len() - 1))
    }
}
