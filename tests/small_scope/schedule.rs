//! Every sequence of choices, one after another: a run asks which choice to take, and is made again until every
//! sequence has been taken.

/// One sequence of choices, and which ones are still to come.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    /// Of each choice: which was taken, and of how many.
    choices: Vec<(usize, usize)>,
    next: usize,
}

impl Schedule {
    /// Takes one of so many choices.
    pub fn choose(&mut self, of: usize) -> usize {
        if self.next == self.choices.len() {
            self.choices.push((0, of));
        }
        let (taken, known) = self.choices[self.next];
        assert_eq!(known, of, "the same choices lead to the same choice");
        self.next += 1;
        taken
    }

    /// Goes on to the next sequence; false when there is none.
    pub fn advance(&mut self) -> bool {
        self.next = 0;
        while let Some((taken, of)) = self.choices.pop() {
            if taken + 1 < of {
                self.choices.push((taken + 1, of));
                return true;
            }
        }
        false
    }
}

#[test]
fn every_sequence_is_taken_once() {
    let mut schedule = Schedule::default();
    let mut taken = Vec::new();
    loop {
        let first = schedule.choose(3);
        let second = (first != 1).then(|| schedule.choose(2));
        taken.push((first, second));
        if !schedule.advance() {
            break;
        }
    }
    assert_eq!(taken, [(0, Some(0)), (0, Some(1)), (1, None), (2, Some(0)), (2, Some(1))]);
}
