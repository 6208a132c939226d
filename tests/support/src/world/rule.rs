//! What must hold, and the complaint when it does not.

use std::fmt;

/// What must hold. The first six are the invariants of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A record's marker and its delta are in the same transaction.
    Xo1,
    /// A record whose marker exists never changes a counter again.
    Xo2,
    /// A record that is acknowledged has a marker, or has no effect, or is in quarantine.
    Xo3,
    /// When all is acknowledged, the counters equal a recount.
    Xo4,
    /// A total equals the sum over its groups plus what is in none.
    Xo5,
    /// A record that cannot be applied is kept whole, with the reason, until an operator ends that.
    Xo6,
    /// A transaction raises the version of every view item that its records touch, by one.
    Version,
    /// A view item that is not there is created, or passed over, as the setting says.
    Missing,
    /// No two transactions of one view item are on their way at once within one invocation.
    SideBySide,
    /// A transaction keeps its token as long as it is retried, and no other one ever has it.
    Token,
    /// No invocation is answered after its time.
    Deadline,
    /// No more transactions of an invocation are on their way than allowed.
    InFlight,
    /// A response names one record of its batch at the most.
    Response,
    /// What is calm comes to an end.
    Progress,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xo1 => "XO-1 atomic",
            Self::Xo2 => "XO-2 once",
            Self::Xo3 => "XO-3 complete",
            Self::Xo4 => "XO-4 exact",
            Self::Xo5 => "XO-5 consistent",
            Self::Xo6 => "XO-6 nothing lost",
            Self::Version => "version",
            Self::Missing => "missing view item",
            Self::SideBySide => "in parallel",
            Self::Token => "token",
            Self::Deadline => "deadline",
            Self::InFlight => "in flight",
            Self::Response => "response",
            Self::Progress => "progress",
        })
    }
}

/// A rule that does not hold, and how that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.words)
    }
}

/// What checks give.
pub type Checked = Result<(), Violation>;

/// Complains unless something holds.
pub fn ensure(holds: bool, rule: Rule, words: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { rule, words: words() }) }
}
