//! Which elements an expression may look at, told without evaluating it: rather too many than too few. Who is not shown an
//! element must not find resources by it either (CMP-3).

use super::{
    Program,
    compile::{Operation as Compiled, Run},
    path::{Argument, Operation, Step, Term},
};

impl Program {
    /// Whether it may look at elements of these names: of the resource that it starts from if `own`, else of another one that
    /// it reaches from there, such as a contained one.
    #[must_use]
    pub fn may_read(&self, names: &[&str], own: bool) -> bool {
        let mut reads = Reads::default();
        match &self.run {
            Run::Compiled(operation) => reads.operation(operation),
            Run::Interpreted(path) => reads.term(&path.root),
        }
        reads.everything || (own || reads.others) && reads.names.iter().any(|name| names.contains(name))
    }
}

/// What an expression names.
#[derive(Default)]
struct Reads<'p> {
    names: Vec<&'p str>,
    /// It looks at elements without naming them.
    everything: bool,
    /// It goes to another resource than it starts from.
    others: bool,
}

impl<'p> Reads<'p> {
    fn member(&mut self, name: &'p str) {
        self.others |= name == "contained";
        self.names.push(name);
    }

    fn operation(&mut self, operation: &'p Compiled) {
        match operation {
            Compiled::Nothing | Compiled::Start | Compiled::Resource => {}
            Compiled::Member { from, names } => {
                self.operation(from);
                names.iter().for_each(|(_, name, _)| self.member(name));
            }
            Compiled::WhereEquals { from, path, .. } => {
                self.operation(from);
                self.operation(path);
            }
            Compiled::Index { from, .. }
            | Compiled::OfType { from, .. }
            | Compiled::WhereResolvesTo { from, .. }
            | Compiled::WhereExtension { from, .. }
            | Compiled::Extension { from, .. }
            | Compiled::Exists(from)
            | Compiled::NotEquals(from, _) => self.operation(from),
            Compiled::Union(branches) => branches.iter().for_each(|branch| self.operation(branch)),
            Compiled::And(left, right) => {
                self.operation(left);
                self.operation(right);
            }
        }
    }

    fn term(&mut self, term: &'p Term) {
        match term {
            Term::Empty | Term::Literal(_) | Term::This | Term::Index | Term::Total => {}
            // In what is contained, `%rootResource` is the container.
            Term::External(_) => self.others = true,
            Term::Chain { from, steps } => {
                from.iter().for_each(|from| self.term(from));
                steps.iter().for_each(|step| self.step(step));
            }
            Term::Operations { first, rest } => {
                self.term(first);
                for operation in rest {
                    match operation {
                        Operation::Binary(_, right) => self.term(right),
                        Operation::Is(_) | Operation::As(_) => {}
                    }
                }
            }
            Term::Sign { of, .. } => self.term(of),
        }
    }

    fn step(&mut self, step: &'p Step) {
        match step {
            Step::Member { name, .. } => self.member(name),
            Step::At(index) => self.term(index),
            Step::Call { function, arguments } => {
                self.everything |= matches!(function.name, "children" | "descendants");
                for argument in arguments {
                    match argument {
                        Argument::Term(term) | Argument::Descending(term) => self.term(term),
                        Argument::Type(_) => {}
                    }
                }
            }
        }
    }
}
