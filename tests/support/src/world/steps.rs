//! One step: of all that could happen now, one thing does.

use std::time::Duration;

use tokio::time::Instant;

use super::rule::{Checked, Rule, ensure};
use super::stream::Streams;
use super::{FaultRates, Phase, World};

/// The longest time that passes at once while anything runs: functions wake up in time.
const TICK: Duration = Duration::from_millis(40);

/// The most invocations at once.
const MOST_RUNNING: usize = 6;

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Step {
    GoOn(usize),
    CarryOut(usize),
    Tell(usize),
    Poll(usize),
    Write,
    Pass,
    Crash(usize),
    Disturbance,
}

impl World {
    /// Makes one step.
    pub(super) async fn step(&mut self) -> Checked {
        let steps = self.possible();
        let place = self.choices.weighted(steps.iter().map(|(weight, _)| *weight));
        match steps[place].1 {
            Step::GoOn(running) => self.go_on(running).await?,
            Step::CarryOut(request) => self.carry_out(request)?,
            Step::Tell(request) => self.tell(request),
            Step::Poll(poller) => self.poll(poller),
            Step::Write => self.write(),
            Step::Pass if self.pausing && self.running.is_empty() => self.long_pause().await?,
            Step::Pass => self.wait().await,
            Step::Crash(running) => self.crash(running),
            Step::Disturbance => self.disturb(),
        }
        self.forget_requests();
        self.check_deadlines()?;
        self.go_to_next_phase()
    }

    fn possible(&self) -> Vec<(usize, Step)> {
        let mut steps = Vec::new();
        let awake = (0..self.running.len()).filter(|&running| self.running[running].is_awake());
        steps.extend(awake.map(|running| (160, Step::GoOn(running))));
        let any_awake = !steps.is_empty();
        for (place, request) in self.requests.iter().enumerate() {
            if request.is_due() {
                steps.push((80, Step::CarryOut(place)));
            }
            if request.is_tellable() {
                steps.push((80, Step::Tell(place)));
            }
        }
        if self.running.len() < MOST_RUNNING && !self.pausing {
            steps.extend(self.ready_pollers().into_iter().map(|poller| (48, Step::Poll(poller))));
        }
        // A function takes no time of its own: nothing passes while one could go on.
        if !any_awake {
            steps.push((if steps.is_empty() { 80 } else { 24 }, Step::Pass));
        }
        if self.phase == Phase::Storm {
            if self.writes_left > 0 && !self.pausing {
                steps.push((40, Step::Write));
            }
            steps.extend((0..self.running.len()).map(|running| (1, Step::Crash(running))));
            steps.push((6, Step::Disturbance));
        }
        steps
    }

    async fn go_on(&mut self, place: usize) -> Checked {
        let response = self.running[place].go_on().await;
        self.take_sent()?;
        match response {
            None => Ok(()),
            Some(response) => {
                let invocation = self.running.remove(place);
                self.answered(invocation, response)
            }
        }
    }

    fn write(&mut self) {
        self.writes_left -= 1;
        if self.view_added_at == Some(self.writes_left) {
            // What runs already goes on under the definition without it.
            self.deployed = self.source.measures;
            self.log("view added", format!("{:?}", self.deployed));
        }
        let written = self.source.write(&mut self.choices);
        let (what, point) = (written.what, written.point);
        let (stream, number) = self.streams.next();
        let words = format!("{what} of point {point} is record {} ({number})", self.source.records.len());
        let record = self.source.record(written, number, &stream, self.now());
        self.auditor.recorded(self.source.records[record].clone());
        self.streams.append(point, record);
        self.log(what, words);
    }

    /// A little time passes, not past the next thing that happens by itself.
    async fn wait(&mut self) {
        let next = self.requests.iter().filter_map(super::requests::Request::next_event).min();
        let most = if self.running.is_empty() { 50 * TICK } else { TICK };
        let until = next.map_or(most, |at| at.duration_since(Instant::now()).min(most));
        let milliseconds = usize::try_from(until.as_millis()).unwrap_or(1).max(1);
        let time = self.choices.milliseconds(1, milliseconds);
        self.pass(time).await;
    }

    fn check_deadlines(&self) -> Checked {
        let late = self.running.iter().find(|running| running.ends_at <= Instant::now());
        ensure(late.is_none(), Rule::Deadline, || {
            format!("invocation {} is not answered in time", late.map_or(0, |running| running.number))
        })
    }

    fn go_to_next_phase(&mut self) -> Checked {
        let quiet = self.running.is_empty() && self.requests.is_empty() && self.all_read();
        match self.phase {
            Phase::Storm if self.writes_left == 0 && self.choices.below(60) == 0 => {
                self.phase = Phase::Calm;
                self.pausing = false;
                self.fault_rates = FaultRates::calm();
                self.database.denied = false;
                self.database.refusing = None;
                self.mend();
                self.log("calm", "nothing goes wrong any more");
            }
            Phase::Calm if quiet => {
                self.phase = Phase::Replay;
                self.log("replay of all", format!("{} batches were given up", self.given_up.len()));
            }
            Phase::Replay if quiet && !self.given_up.is_empty() => self.replay_given_up(),
            // What was replayed may have come to quarantine by that.
            Phase::Replay if quiet && self.replays_left > 0 => {
                self.replays_left -= 1;
                self.replay_quarantine(true);
            }
            Phase::Replay if quiet => {
                self.phase = Phase::Over;
                let (recount, now) = (self.source.recount(), self.now());
                let database = &self.database;
                self.auditor.ended(&recount, now, |map| database.view_item(map))?;
                self.log(
                    "over",
                    format!(
                        "{} streams, the last is {}",
                        self.streams.count(),
                        Streams::name(self.streams.count() - 1)
                    ),
                );
            }
            _ => {}
        }
        Ok(())
    }
}
