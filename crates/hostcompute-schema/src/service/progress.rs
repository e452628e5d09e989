//! What is told while host documents are carried out, and why they could not be: in words for programs,
//! there and back to what travels.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::failure::{Failure, Warning};
use crate::parse::parse_value;
use crate::position::Position;
use crate::service::{FileWarning, ProgressLine, Step, Steps};

/// What is told while files are carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Something in a file was tolerated.
    Tolerated {
        /// The file.
        file: String,
        /// What is odd about it.
        warning: Warning,
    },
    /// So many steps are to come.
    Planned(usize),
    /// A step was done.
    Done(Step),
    /// A step failed; what was done is being taken back.
    TakingBack,
}

/// What one line tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// It goes on.
    Progress(Progress),
    /// It is over; nothing follows.
    End(Result<Vec<Step>, Obstacle>),
}

/// Why files could not be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Obstacle {
    /// The file to blame; none when it is not about a file.
    pub file: Option<String>,
    /// What was wrong.
    pub failure: Box<Failure>,
    /// What could not be taken back, or not be deleted, beside.
    pub further: Vec<Failure>,
}

impl Progress {
    /// The line that travels.
    pub fn line(self) -> ProgressLine {
        let mut line = ProgressLine::default();
        match self {
            Progress::Tolerated { file, warning } => {
                line.tolerated = Some(FileWarning::new(file, warning));
            }
            Progress::Planned(count) => {
                line.planned = Some(u32::try_from(count).unwrap_or(u32::MAX))
            }
            Progress::Done(step) => line.done = Some(step),
            Progress::TakingBack => line.taking_back = Some(true),
        }
        line
    }
}

impl ProgressLine {
    /// The last line: how it ended.
    pub fn end(outcome: &Result<Vec<Step>, Obstacle>) -> ProgressLine {
        let mut line = ProgressLine::default();
        match outcome {
            Ok(steps) => line.result = Some(Steps { steps: steps.clone(), ..Steps::default() }),
            Err(obstacle) => line.problem = Some(obstacle.problem()),
        }
        line
    }

    /// What a line tells.
    ///
    /// `None` for a line that tells nothing that this version knows.
    pub fn told(line: &Value) -> Option<Told> {
        if let Some(problem) = line.get("Problem") {
            return Some(Told::End(Err(Obstacle::from_problem(problem))));
        }
        let read = parse_value::<ProgressLine>(line, "").ok()?.document;
        // A result without steps is as good as none to the reader of documents; here it is the end.
        if line.get("Result").is_some() {
            return Some(Told::End(Ok(read.result.unwrap_or_default().steps)));
        }
        let progress = if let Some(tolerated) = read.tolerated {
            let (file, warning) = tolerated.split();
            Progress::Tolerated { file, warning }
        } else if let Some(count) = read.planned {
            Progress::Planned(usize::try_from(count).unwrap_or(usize::MAX))
        } else if let Some(step) = read.done {
            Progress::Done(step)
        } else if read.taking_back == Some(true) {
            Progress::TakingBack
        } else {
            return None;
        };
        Some(Told::Progress(progress))
    }
}

impl FileWarning {
    /// A warning about a file.
    pub fn new(file: String, warning: Warning) -> FileWarning {
        let Warning { path, message, position } = warning;
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        FileWarning {
            file: Some(file),
            message: Some(message),
            path: Some(path),
            line: position.map(|position| number(position.line)),
            column: position.map(|position| number(position.column)),
            ..FileWarning::default()
        }
    }

    /// The file and what is odd about it.
    pub fn split(self) -> (String, Warning) {
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let position = self.line.zip(self.column);
        let warning = Warning {
            path: self.path.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            position: position
                .map(|(line, column)| Position { line: number(line), column: number(column) }),
        };
        (self.file.unwrap_or_default(), warning)
    }
}

impl From<Failure> for Obstacle {
    fn from(failure: Failure) -> Obstacle {
        Obstacle { file: None, failure: Box::new(failure), further: Vec::new() }
    }
}

impl From<Obstacle> for Failure {
    /// The first one, for those who cannot tell of more.
    fn from(obstacle: Obstacle) -> Failure {
        *obstacle.failure
    }
}

impl Obstacle {
    /// Several failures as one; `None` when there are none.
    pub fn of(failures: Vec<Failure>) -> Option<Obstacle> {
        let mut failures = failures.into_iter();
        let first = failures.next()?;
        Some(Obstacle { further: failures.collect(), ..Obstacle::from(first) })
    }

    /// All failures, the first one first.
    pub fn into_failures(self) -> Vec<Failure> {
        core::iter::once(*self.failure).chain(self.further).collect()
    }

    /// The problem document, with `file` and `further` where there is something to say.
    pub fn problem(&self) -> Value {
        let mut problem = self.failure.problem();
        if let Value::Object(members) = &mut problem {
            if let Some(file) = &self.file {
                members.insert("file".into(), json!(file));
            }
            if !self.further.is_empty() {
                let further = self.further.iter().map(Failure::problem).collect();
                members.insert("further".into(), Value::Array(further));
            }
        }
        problem
    }

    /// The inverse of [`Obstacle::problem`].
    pub fn from_problem(problem: &Value) -> Obstacle {
        let further = problem.get("further").and_then(Value::as_array);
        Obstacle {
            file: problem.get("file").and_then(Value::as_str).map(String::from),
            failure: Box::new(Failure::from_problem(problem)),
            further: further.into_iter().flatten().map(Failure::from_problem).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::hresult::HResult;
    use alloc::string::ToString;
    use alloc::vec;

    fn there_and_back(line: ProgressLine) -> Option<Told> {
        ProgressLine::told(&line.to_value())
    }

    #[test]
    fn progress_travels_there_and_back() {
        let warning = Warning {
            path: "Networks[0].Nmae".to_string(),
            message: "unknown".to_string(),
            position: Some(Position { line: 3, column: 9 }),
        };
        let step = Step { name: Some("web".to_string()), ..Step::default() };
        for progress in [
            Progress::Tolerated { file: "web.json".to_string(), warning },
            Progress::Planned(0),
            Progress::Done(step),
            Progress::TakingBack,
        ] {
            assert_eq!(there_and_back(progress.clone().line()), Some(Told::Progress(progress)));
        }
        assert_eq!(there_and_back(ProgressLine::default()), None);
    }

    #[test]
    fn the_end_travels_there_and_back() {
        let failure = Failure::new(HResult::HCN_E_INVALID_IP, "outside").at("Endpoints[1]");
        let mut obstacle = Obstacle::of(vec![failure.clone(), failure]).expect("two");
        obstacle.file = Some("web.json".to_string());
        for outcome in [Ok(Vec::new()), Err(obstacle)] {
            assert_eq!(there_and_back(ProgressLine::end(&outcome)), Some(Told::End(outcome)));
        }
    }

    #[test]
    fn a_warning_travels_there_and_back() {
        let position = Some(Position { line: 1, column: 2 });
        let warning = Warning { path: "A.b".to_string(), message: "odd".to_string(), position };
        assert_eq!(Warning::from_value(&warning.to_value()), warning);
    }
}
