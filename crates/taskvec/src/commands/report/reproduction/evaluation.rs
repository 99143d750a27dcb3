//! The `eval` commands that ask what single evaluations asked, by what their records say.

use std::collections::{BTreeMap, BTreeSet};

use taskvec_core::Expression;
use taskvec_eval::generator::Prompt;
use taskvec_eval::run::{Record, Request};
use taskvec_eval::{Condition, Registry};

use super::{data, quoted};

/// How a model was asked, as far as flags say it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Way<'a> {
    model: &'a str,
    expression: &'a str,
    bindings: &'a BTreeMap<String, String>,
    engine: &'a str,
    seed: u64,
    form: &'static str,
    temperature: f64,
}

/// A task that was asked in one way.
#[derive(Debug)]
struct Asked<'a> {
    task: &'a str,
    conditions: Vec<Condition>,
    documents: BTreeSet<&'a str>,
    samples: u32,
    planned: usize,
}

/// One command for each way of asking and number of questions, as `eval` has one limit for all tasks.
pub(super) fn commands(records: &[Record]) -> Vec<String> {
    let mut ways: Vec<(Way<'_>, Vec<Asked<'_>>)> = Vec::new();
    for record in records {
        let way = Way::of(record);
        let place = ways.iter().position(|(known, _)| *known == way);
        let place = place.unwrap_or_else(|| {
            ways.push((way, Vec::new()));
            ways.len() - 1
        });
        add(&mut ways[place].1, record);
    }
    let registry = Registry::standard();
    ways.iter()
        .flat_map(|(way, tasks)| of_way(way, tasks, &registry))
        .collect()
}

fn add<'a>(tasks: &mut Vec<Asked<'a>>, record: &'a Record) {
    let place = tasks.iter().position(|known| known.task == record.task);
    let place = place.unwrap_or_else(|| {
        tasks.push(Asked {
            task: &record.task,
            conditions: Vec::new(),
            documents: BTreeSet::new(),
            samples: 1,
            planned: 0,
        });
        tasks.len() - 1
    });
    let asked = &mut tasks[place];
    if !asked.conditions.contains(&record.condition) {
        asked.conditions.push(record.condition);
    }
    asked.documents.insert(&record.doc_id);
    asked.samples = asked.samples.max(record.sample + 1);
    asked.planned = asked.planned.max(record.planned);
}

fn of_way(way: &Way<'_>, tasks: &[Asked<'_>], registry: &Registry) -> Vec<String> {
    let all: BTreeSet<Condition> = tasks
        .iter()
        .flat_map(|asked| asked.conditions.iter().copied())
        .collect();
    // A task that lacks some of the conditions may be asked along with others that have them.
    let named = |asked: &Asked<'_>| -> BTreeSet<Condition> {
        let own: BTreeSet<Condition> = asked.conditions.iter().copied().collect();
        let known = registry.get(asked.task);
        let known = known.map_or_else(|_| Vec::new(), |task| task.conditions().to_vec());
        let would_be = all.iter().copied().filter(|it| known.contains(it));
        if would_be.collect::<BTreeSet<_>>() == own {
            all.clone()
        } else {
            own
        }
    };
    type Flags = (BTreeSet<Condition>, usize, u32);
    let mut commands: Vec<(Flags, Vec<&str>)> = Vec::new();
    for asked in tasks {
        let flags = (named(asked), asked.questions(), asked.samples);
        match commands.iter_mut().find(|(known, _)| *known == flags) {
            Some((_, names)) => names.push(asked.task),
            None => commands.push((flags, vec![asked.task])),
        }
    }
    commands
        .iter()
        .map(|((conditions, questions, samples), names)| {
            way.command(names, conditions, *questions, *samples)
        })
        .collect()
}

impl Asked<'_> {
    /// How many questions there were to be.
    fn questions(&self) -> usize {
        self.documents
            .len()
            .max(self.planned / self.samples as usize)
    }
}

impl<'a> Way<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            model: &record.model,
            expression: &record.expression,
            bindings: &record.bindings,
            engine: &record.engine,
            seed: record.seed,
            form: match record.prompt {
                Prompt::Text(_) => "base",
                Prompt::Chat(_) => "chat",
            },
            temperature: match &record.request {
                Request::Generate { sampling, .. } => sampling.temperature,
                Request::Likelihood { .. } => 0.0,
            },
        }
    }

    fn command(
        &self,
        tasks: &[&str],
        conditions: &BTreeSet<Condition>,
        questions: usize,
        samples: u32,
    ) -> String {
        let mut command = String::new();
        let unsaid = self.unsaid();
        if !unsaid.is_empty() {
            // Records of before they said it.
            command.push_str(&format!(
                "# the records do not say what {} stood for\n",
                unsaid.join(", ")
            ));
        }
        command.push_str(&format!("taskvec eval {}", quoted(self.expression)));
        for (name, reference) in self.bindings {
            let binding = format!("{name}={reference}");
            command.push_str(&format!(" --let {}", quoted(&binding)));
        }
        for name in &unsaid {
            command.push_str(&format!(" --let {name}=REF"));
        }
        let conditions: Vec<&str> = conditions.iter().map(|it| it.name()).collect();
        command.push_str(&format!(
            " --tasks {} --conditions {} --limit {questions} --seed {} --prompt-form {}",
            tasks.join(","),
            conditions.join(","),
            self.seed,
            self.form
        ));
        if self.temperature > 0.0 {
            let temperature = self.temperature;
            command.push_str(&format!(" --samples {samples} --temperature {temperature}"));
        }
        command.push_str(data(tasks.iter().copied()));
        command.push_str(&server(self.engine));
        command
    }

    /// Names in the expression of which nothing is known.
    fn unsaid(&self) -> Vec<String> {
        // What a server was said to run is a label, and need be no expression.
        let Ok(expression) = self.expression.parse::<Expression>() else {
            return Vec::new();
        };
        if !server(self.engine).contains("--base-url") {
            let names = expression.names().into_iter();
            let unsaid = names.filter(|name| !self.bindings.contains_key(*name));
            return unsaid.map(str::to_owned).collect();
        }
        Vec::new()
    }
}

/// The flags that ask the same server, by what an engine says of itself; nothing for the engine in this process.
fn server(engine: &str) -> String {
    let inner = engine
        .split_once(" openai (")
        .and_then(|(_, inner)| inner.strip_suffix(')'))
        .and_then(|inner| inner.split_once(", "));
    let Some((_, asked)) = inner else {
        return String::new();
    };
    let command = asked.strip_prefix('`').and_then(|it| it.strip_suffix('`'));
    match (command, asked.split_once(", ")) {
        (Some(command), _) => format!(" --serve {}", quoted(command)),
        (None, Some((address, model))) => {
            format!(" --base-url {} --model {}", quoted(address), quoted(model))
        }
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_says_how_it_was_asked() {
        assert_eq!(server("taskvec 0.1.0 local (burn, f32)"), "");
        assert_eq!(
            server("taskvec 0.1.0 openai (vLLM, http://localhost:8000/v1, org/name)"),
            " --base-url http://localhost:8000/v1 --model org/name"
        );
        assert_eq!(
            server("taskvec 0.1.0 openai (vLLM, `vllm serve {model} --port {port}`)"),
            " --serve 'vllm serve {model} --port {port}'"
        );
    }
}
