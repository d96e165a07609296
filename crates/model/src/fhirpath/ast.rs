//! The abstract syntax of FHIRPath: <http://hl7.org/fhirpath/N1/grammar.html>

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// `{}`
    Empty,
    /// `'text'`
    String(String),
    /// `1`, `1.50`: the digits as written
    Number(String),
    /// `true` or `false`
    Boolean(bool),
    /// `@2020-01-01`, `@T10:00`, `@2020-01-01T10:00:00Z`
    Time(String),
    /// `4 'mg'`, `4 days`: number and unit
    Quantity(String, String),
    /// `$this`, `$index`, `$total`
    Variable(String),
    /// `%resource`, `%context`
    External(String),
    /// `name`, of the context or of `from`
    Member {
        /// Whose member; `None`: the context's
        from: Option<Box<Expression>>,
        /// Its name
        name: String,
    },
    /// `from.name(arguments)`
    Call {
        /// What it is called on; `None`: the context
        from: Option<Box<Expression>>,
        /// The function
        name: String,
        /// Its arguments, not yet evaluated
        arguments: Vec<Expression>,
    },
    /// `from[index]`
    Index {
        /// The collection
        from: Box<Expression>,
        /// Which of it
        index: Box<Expression>,
    },
    /// `-x` or `+x`
    Sign {
        /// `-`, not `+`
        negative: bool,
        /// Of what
        of: Box<Expression>,
    },
    /// `left operator right`
    Binary {
        /// The operator's spelling
        operator: &'static str,
        /// Left side
        left: Box<Expression>,
        /// Right side
        right: Box<Expression>,
    },
    /// `of is type` or `of as type`
    Type {
        /// `is`, not `as`
        is: bool,
        /// The value
        of: Box<Expression>,
        /// The type's name, qualified or not
        type_name: String,
    },
}
