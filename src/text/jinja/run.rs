//! Runs a template: every step is counted before it is made.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Out;

use super::meter::{HEAVIEST, Meter};
use super::operators;
use super::statement::{Loop, Program, Step, Target};
use super::tree::{Arguments, Expression, Kind};
use super::value::Value;

/// The most text that is made of a template.
const MOST_TEXT: usize = HEAVIEST;

/// What ends a body before its last step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// Variables by name.
type Scope = BTreeMap<String, Value>;

/// One rendering.
pub(super) struct Run<'a> {
    program: &'a Program,
    pub(super) meter: &'a Meter,
    base: Scope,
    /// Those of the loops, or of a macro and its loops.
    inner: Vec<Scope>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        program: &'a Program,
        meter: &'a Meter,
        variables: Vec<(String, Value)>,
    ) -> Self {
        Self { program, meter, base: variables.into_iter().collect(), inner: Vec::new() }
    }

    pub(super) fn whole(mut self) -> Out<String> {
        let mut text = String::new();
        match self.body(&self.program.body, &mut text)? {
            Flow::Next => Ok(text),
            _ => Err("it leaves a loop where there is none".into()),
        }
    }

    fn write(&self, text: &str, to: &mut String) -> Out<()> {
        self.meter.spend(text.len())?;
        if to.len() + text.len() > MOST_TEXT {
            return Err(format!("it writes more than {MOST_TEXT} bytes"));
        }
        to.push_str(text);
        Ok(())
    }

    fn body(&mut self, steps: &'a [Step], to: &mut String) -> Out<Flow> {
        let meter = self.meter;
        for step in steps {
            let flow = meter.step(|| self.one(step, to))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn one(&mut self, step: &'a Step, to: &mut String) -> Out<Flow> {
        match step {
            Step::Text(text) => self.write(text, to)?,
            Step::Print(expression) => {
                let shown = self.value(expression)?.shown()?;
                self.write(&shown, to)?;
            }
            Step::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.value(condition)?.is_true() {
                        return self.body(body, to);
                    }
                }
                return self.body(otherwise, to);
            }
            Step::For(each) => return self.each(each, to),
            Step::Set(targets, expression) => {
                let value = self.value(expression)?;
                self.unpack(targets, value)?;
            }
            Step::SetBlock(target, body) => {
                let mut text = String::new();
                let flow = self.body(body, &mut text)?;
                let text = self.meter.text(&text)?;
                self.set(target, text)?;
                return Ok(flow);
            }
            Step::Macro(at) => {
                let name = self.program.macros[*at].name.clone();
                self.assign(name, Value::Macro(*at));
            }
            Step::Do(expression) => {
                self.value(expression)?;
            }
            Step::Break => return Ok(Flow::Break),
            Step::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn each(&mut self, each: &'a Loop, to: &mut String) -> Out<Flow> {
        let mut items = self.value(&each.over)?.items(self.meter)?;
        if let Some(only) = &each.only {
            let mut kept = Vec::new();
            for item in items {
                self.inner.push(Scope::new());
                self.name_items(&each.names, item.clone())?;
                if self.value(only)?.is_true() {
                    kept.push(item);
                }
                self.inner.pop();
            }
            items = kept;
        }
        if items.is_empty() {
            return self.body(&each.otherwise, to);
        }
        for (i, item) in items.iter().enumerate() {
            self.inner.push(Scope::new());
            self.name_items(&each.names, item.clone())?;
            let position = self.position(i, &items)?;
            self.assign("loop".into(), position);
            let flow = self.body(&each.body, to)?;
            self.inner.pop();
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    /// The variable `loop`.
    fn position(&self, i: usize, items: &[Value]) -> Out<Value> {
        let int = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let beside = |at: Option<usize>| at.and_then(|at| items.get(at)).cloned();
        let mut entries = vec![
            ("index", int(i + 1)),
            ("index0", int(i)),
            ("revindex", int(items.len() - i)),
            ("revindex0", int(items.len() - i - 1)),
            ("first", Value::Bool(i == 0)),
            ("last", Value::Bool(i + 1 == items.len())),
            ("length", int(items.len())),
        ];
        // Heavy ones would make the map too heavy: such a loop goes without.
        let near = [("previtem", beside(i.checked_sub(1))), ("nextitem", beside(Some(i + 1)))];
        for (name, value) in near {
            entries.extend(value.filter(|v| v.weight() < HEAVIEST / 4).map(|v| (name, v)));
        }
        let entries = entries.into_iter().map(|(name, value)| (Rc::from(name), value));
        self.meter.map(entries.collect())
    }

    fn name_items(&mut self, names: &'a [String], item: Value) -> Out<()> {
        if let [name] = names {
            self.assign(name.clone(), item);
            return Ok(());
        }
        let items = item.items(self.meter)?;
        if items.len() != names.len() {
            return Err(format!("it takes {} values as {}", items.len(), names.len()));
        }
        for (name, item) in names.iter().zip(items) {
            self.assign(name.clone(), item);
        }
        Ok(())
    }

    fn assign(&mut self, name: String, value: Value) {
        self.inner.last_mut().unwrap_or(&mut self.base).insert(name, value);
    }

    fn unpack(&mut self, targets: &'a [Target], value: Value) -> Out<()> {
        if let [target] = targets {
            return self.set(target, value);
        }
        let items = value.items(self.meter)?;
        if items.len() != targets.len() {
            return Err(format!("it takes {} values as {}", items.len(), targets.len()));
        }
        targets.iter().zip(items).try_for_each(|(target, item)| self.set(target, item))
    }

    fn set(&mut self, target: &'a Target, value: Value) -> Out<()> {
        let Some(entry) = &target.entry else {
            self.assign(target.name.clone(), value);
            return Ok(());
        };
        match (self.variable(&target.name), value) {
            (_, Value::Space(_)) => Err("it puts a namespace into another value".into()),
            (Value::Space(space), value) => {
                space.borrow_mut().insert(entry.clone(), value);
                Ok(())
            }
            (other, _) => Err(format!("it sets an entry of {}", other.kind())),
        }
    }

    fn variable(&self, name: &str) -> Value {
        let scopes = self.inner.iter().rev().chain([&self.base]);
        scopes.filter_map(|scope| scope.get(name)).next().cloned().unwrap_or(Value::Undefined)
    }

    pub(super) fn value(&mut self, expression: &'a Expression) -> Out<Value> {
        let meter = self.meter;
        meter.step(|| self.kind(&expression.kind))
    }

    fn two(&mut self, pair: &'a [Expression; 2]) -> Out<(Value, Value)> {
        Ok((self.value(&pair[0])?, self.value(&pair[1])?))
    }

    fn kind(&mut self, kind: &'a Kind) -> Out<Value> {
        Ok(match kind {
            Kind::Undefined => Value::Undefined,
            Kind::None => Value::None,
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Int(number) => Value::Int(*number),
            Kind::Float(number) => Value::Float(*number),
            Kind::Text(text) => self.meter.text(text)?,
            Kind::Name(name) => self.variable(name),
            Kind::List(items) => {
                let items: Out<Vec<Value>> = items.iter().map(|item| self.value(item)).collect();
                self.meter.list(items?)?
            }
            Kind::Map(entries) => {
                let mut made = Vec::new();
                for (key, value) in entries {
                    let key = Rc::from(self.value(key)?.str()?);
                    made.push((key, self.value(value)?));
                }
                self.meter.map(made)?
            }
            Kind::Attribute(of, name) => self.value(of)?.entry(name, self.meter)?,
            Kind::Item(pair) => {
                let (of, at) = self.two(pair)?;
                operators::item(&of, &at, self.meter)?
            }
            Kind::Slice(parts) => {
                let [of, from, to, step] = &**parts;
                let of = self.value(of)?;
                let ends = [self.value(from)?, self.value(to)?, self.value(step)?];
                operators::slice(&of, ends, self.meter)?
            }
            Kind::Method(..) | Kind::Call(..) | Kind::Filter(..) | Kind::Test(..) => {
                self.called(kind)?
            }
            Kind::Not(of) => Value::Bool(!self.value(of)?.is_true()),
            Kind::Negative(of) => {
                operators::binary("-", &Value::Int(0), &self.value(of)?, self.meter)?
            }
            Kind::And(pair) => {
                let left = self.value(&pair[0])?;
                if left.is_true() { self.value(&pair[1])? } else { left }
            }
            Kind::Or(pair) => {
                let left = self.value(&pair[0])?;
                if left.is_true() { left } else { self.value(&pair[1])? }
            }
            Kind::Binary(sign, pair) => {
                let (left, right) = self.two(pair)?;
                operators::binary(sign, &left, &right, self.meter)?
            }
            Kind::Compare(first, others) => {
                let mut left = self.value(first)?;
                for (sign, right) in others {
                    let right = self.value(right)?;
                    if !operators::compare(sign, &left, &right, self.meter)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Kind::Choice(parts) => {
                let [condition, first, second] = &**parts;
                let holds = self.value(condition)?.is_true();
                self.value(if holds { first } else { second })?
            }
        })
    }

    /// Methods, functions, filters and tests.
    fn called(&mut self, kind: &'a Kind) -> Out<Value> {
        Ok(match kind {
            Kind::Method(of, name, arguments) => {
                let of = self.value(of)?;
                let given = self.given(arguments)?;
                super::methods::method(&of, name, &given, self.meter)?
            }
            Kind::Call(name, arguments) => {
                let given = self.given(arguments)?;
                match self.variable(name) {
                    Value::Macro(at) => self.call(at, given)?,
                    _ => super::calls::function(name, given, self.meter)?,
                }
            }
            Kind::Filter(of, name, arguments) => {
                let of = self.value(of)?;
                let given = self.given(arguments)?;
                super::calls::filter(&of, name, &given, self.meter)?
            }
            Kind::Test(of, name, arguments) => {
                let of = self.value(of)?;
                let given = self.given(arguments)?;
                Value::Bool(super::calls::test(&of, name, &given.plain, self.meter)?)
            }
            _ => Value::Undefined,
        })
    }

    fn given(&mut self, arguments: &'a Arguments) -> Out<Given> {
        let plain: Out<Vec<Value>> = arguments.plain.iter().map(|a| self.value(a)).collect();
        let named = arguments.named.iter().map(|(name, a)| Ok((name.clone(), self.value(a)?)));
        Ok(Given { plain: plain?, named: named.collect::<Out<_>>()? })
    }

    /// What a macro writes.
    fn call(&mut self, at: usize, given: Given) -> Out<Value> {
        let definition = &self.program.macros[at];
        let mut scope = Scope::new();
        let (mut plain, mut named) = (given.plain.into_iter(), given.named);
        for (name, otherwise) in &definition.parameters {
            let found = named.iter().position(|(other, _)| other == name);
            let value = match (plain.next(), found) {
                (Some(value), _) => value,
                (None, Some(at)) => named.swap_remove(at).1,
                (None, None) => match otherwise {
                    Some(otherwise) => self.value(otherwise)?,
                    None => Value::Undefined,
                },
            };
            scope.insert(name.clone(), value);
        }
        if plain.next().is_some() || !named.is_empty() {
            return Err("it gives a macro more than it takes".into());
        }
        let outer = std::mem::replace(&mut self.inner, vec![scope]);
        let mut text = String::new();
        self.body(&definition.body, &mut text)?;
        self.inner = outer;
        self.meter.text(&text)
    }
}

/// A call's arguments, as values.
pub(super) struct Given {
    pub(super) plain: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
}

impl Given {
    /// An argument by place or by name.
    pub(super) fn at(&self, place: usize, name: &str) -> Option<&Value> {
        let named = || self.named.iter().find(|(other, _)| other == name).map(|(_, value)| value);
        self.plain.get(place).or_else(named)
    }

    /// That no argument is given but these.
    pub(super) fn only(&self, places: usize, names: &[&str]) -> Out<()> {
        let known = self.named.iter().all(|(name, _)| names.contains(&name.as_str()));
        if known && self.plain.len() <= places {
            Ok(())
        } else {
            Err("it gives arguments that are not known".into())
        }
    }
}

/// A namespace of these entries.
pub(super) fn namespace(given: Given) -> Out<Value> {
    if given.named.iter().any(|(_, value)| matches!(value, Value::Space(_))) {
        return Err("it puts a namespace into another value".into());
    }
    let mut entries: Scope = given.named.into_iter().collect();
    for map in given.plain {
        let Value::Map(held) = map else { return Err("a namespace is made of entries".into()) };
        entries.extend(held.of.iter().map(|(key, value)| (key.to_string(), value.clone())));
    }
    Ok(Value::Space(Rc::new(RefCell::new(entries))))
}
