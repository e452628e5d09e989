//! What is told while images and layers are worked on, there and back to the lines that travel.

use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hostcompute_schema::hcs::{WorkBegun, WorkLine};
use hostcompute_schema::{Document, Failure};
use hostcompute_storage::Event;
use serde_json::{Value, json};

/// How often an advance is told of a piece of known size.
const PARTS: u64 = 100;

/// After how many bytes it is told where the size is not known.
const STRIDE: u64 = 64 << 20;

/// Makes lines of events: few enough to be kept and sent, whatever the size of the work.
#[derive(Debug, Default)]
pub struct Teller(Mutex<Advance>);

#[derive(Debug, Default)]
struct Advance {
    stride: u64,
    untold: u64,
}

impl Teller {
    /// The lines that an event is told by; often none.
    pub fn lines(&self, event: Event<'_>) -> Vec<Value> {
        let mut advance = self.advance();
        match event {
            Event::Begins { what, total } => {
                let stride = total.map_or(STRIDE, |total| (total / PARTS).max(1));
                *advance = Advance { stride, untold: 0 };
                let begun =
                    WorkBegun { what: Some(what.to_owned()), total, ..WorkBegun::default() };
                vec![line(WorkLine { begun: Some(begun), ..WorkLine::default() })]
            }
            Event::Advanced(bytes) => {
                advance.untold += bytes;
                if advance.untold < advance.stride { Vec::new() } else { advance.told() }
            }
            Event::Ended => {
                let mut lines = advance.told();
                lines.push(line(WorkLine { ended: Some(true), ..WorkLine::default() }));
                lines
            }
            Event::Present(what) => {
                vec![line(WorkLine { present: Some(what.to_owned()), ..WorkLine::default() })]
            }
            Event::Note(note) => {
                vec![line(WorkLine { note: Some(note.to_owned()), ..WorkLine::default() })]
            }
        }
    }

    fn advance(&self) -> MutexGuard<'_, Advance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Advance {
    fn told(&mut self) -> Vec<Value> {
        match std::mem::take(&mut self.untold) {
            0 => Vec::new(),
            bytes => vec![line(WorkLine { advanced: Some(bytes), ..WorkLine::default() })],
        }
    }
}

fn line(line: WorkLine) -> Value {
    line.to_value()
}

impl Teller {
    /// The last line.
    pub fn end(outcome: &Result<Value, Failure>) -> Value {
        match outcome {
            Ok(value) => json!({ "Result": value }),
            Err(failure) => json!({ "Problem": failure.problem() }),
        }
    }
}

/// What one line tells.
#[derive(Debug)]
pub enum Told {
    /// It goes on, if the watcher wants.
    Progress(ControlFlow<()>),
    /// It is over; nothing follows.
    End(Result<Value, Failure>),
}

/// Hands on what a line tells; a line that this version does not know tells nothing.
pub fn told(line: &Value, watch: hostcompute_storage::Watch<'_>) -> Told {
    if let Some(problem) = line.get("Problem") {
        return Told::End(Err(Failure::from_problem(problem)));
    }
    if let Some(result) = line.get("Result") {
        return Told::End(Ok(result.clone()));
    }
    let Ok(line) = serde_json::from_value::<WorkLine>(line.clone()) else {
        return Told::Progress(ControlFlow::Continue(()));
    };
    Told::Progress(if let Some(begun) = &line.begun {
        let what = begun.what.as_deref().unwrap_or_default();
        watch(Event::Begins { what, total: begun.total })
    } else if let Some(bytes) = line.advanced {
        watch(Event::Advanced(bytes))
    } else if let Some(what) = &line.present {
        watch(Event::Present(what))
    } else if let Some(note) = &line.note {
        watch(Event::Note(note))
    } else if line.ended == Some(true) {
        watch(Event::Ended)
    } else {
        ControlFlow::Continue(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_travel_there_and_back_and_advances_are_gathered() {
        let teller = Teller::default();
        let heard = Mutex::new(Vec::new());
        let watch = |event: Event<'_>| {
            heard.lock().expect("alone").push(format!("{event:?}"));
            ControlFlow::Continue(())
        };
        let begins = Event::Begins { what: "layer", total: Some(1000) };
        let events = [begins, Event::Advanced(4), Event::Advanced(4), Event::Advanced(4)];
        let rest = [Event::Ended, Event::Present("other"), Event::Note("lost")];
        for event in events.into_iter().chain([Event::Advanced(5)]).chain(rest) {
            for line in teller.lines(event) {
                assert!(matches!(told(&line, &watch), Told::Progress(ControlFlow::Continue(()))));
            }
        }
        let [ended, present, note] = rest.map(|event| format!("{event:?}"));
        let wanted = [
            format!("{begins:?}"),
            "Advanced(12)".to_owned(),
            "Advanced(5)".to_owned(),
            ended,
            present,
            note,
        ];
        assert_eq!(*heard.lock().expect("alone"), wanted);
    }

    #[test]
    fn the_end_travels_there_and_back() {
        let failure = Failure::new(hostcompute_schema::HResult::E_ABORT, "interrupted");
        for outcome in [Ok(Value::Null), Ok(json!({ "Id": "x" })), Err(failure)] {
            let Told::End(back) = told(&Teller::end(&outcome), hostcompute_storage::UNWATCHED)
            else {
                panic!("the end")
            };
            assert_eq!(back, outcome);
        }
    }
}
