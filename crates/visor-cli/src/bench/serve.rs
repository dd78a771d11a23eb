//! `visor bench serve`: a server of its own in another process, under load, every answer checked.

use crate::files;
use crate::interrupt::{self, Interrupt};
use crate::loading;
use crate::model::{ModelChoice, failed};
use crate::output;
use crate::untrained;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use visor::{LoadOptions, Message, Model, Part, Question, Role};
use visor_benches::Environment;
use visor_benches::serve::{
    Asked, Cell, Item, Memory, Overload, ServeRecord, Settings, closed, open,
};
use visor_tasks::{Split, StandardMix, Suite, SuiteName};

/// Measure a server under load: throughput, times, overload, memory
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    model: ModelChoice,

    /// Generated suite that is asked about, the one that the model was trained on
    #[arg(long, value_name = "NAME", default_value_t = SuiteName::Nano)]
    suite: SuiteName,

    /// Clients that ask at once, one cell each
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,64")]
    clients: Vec<usize>,

    /// Budgets that are asked for, one cell each
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "auto,sa3")]
    budgets: Vec<String>,

    /// Rounds, in each of which every cell is measured once
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,

    /// Seconds of a cell in a round
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,

    /// Different requests
    #[arg(long, value_name = "N", default_value_t = 64)]
    requests: u64,

    /// Times the measured capacity at which requests arrive in an overload; 0 for none
    #[arg(long, value_name = "X", default_value_t = 3.0)]
    overload: f64,

    /// Seconds within which an answer counts in an overload
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    limit: f64,

    /// Requests after which memory is looked at, in order; 0 for none
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1000,20000")]
    memory: Vec<usize>,

    /// Options for the server
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    server: Vec<String>,

    /// Write the record to a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Connections for an overload: more than the server lets wait and works on.
const CROWD: usize = 400;

impl Serve {
    pub(crate) fn run(&self) -> Result<()> {
        let interrupt = Interrupt::watch(interrupt::stopping)?;
        let check = || interrupt.check("nothing was written");
        let model = loading::load(&self.model.find()?, &LoadOptions::default())?;
        untrained::warn(&model, []);
        let name = model.card().name.clone();
        let time = Duration::from_secs(self.seconds.max(1));
        let load_before = load();
        let items: Vec<Vec<Item>> =
            self.budgets.iter().map(|b| self.items(&model, Some(b))).collect::<Result<_>>()?;
        let server = Server::start(&self.arguments(&[]))?;
        let mut cells: Vec<(usize, usize, Vec<Vec<Asked>>)> = Vec::new();
        for &clients in &self.clients {
            for (budget, items) in items.iter().enumerate() {
                // The first requests load caches and start threads.
                closed(server.address, items, clients, time / 10, usize::MAX);
                cells.push((clients, budget, Vec::new()));
            }
        }
        for round in 1..=self.rounds {
            for (clients, budget, rounds) in &mut cells {
                check()?;
                rounds.push(closed(server.address, &items[*budget], *clients, time, usize::MAX));
            }
            output::note(&format!("round {round} of {}", self.rounds));
        }
        let cell = |(clients, budget, rounds): &(usize, usize, Vec<Vec<Asked>>)| {
            Cell::new(*clients, &self.budgets[*budget], rounds, time)
        };
        let cells: Vec<Cell> = cells.iter().map(cell).collect();
        drop(server);
        let record = ServeRecord {
            schema_version: ServeRecord::SCHEMA,
            environment: Environment::here(),
            settings: Settings {
                model: name,
                model_sha256: model.card().sha256.clone(),
                suite: self.suite.to_string(),
                server: self.server.clone(),
                requests: items.first().map_or(0, Vec::len),
                rounds: self.rounds,
                seconds: time.as_secs_f64(),
                load_before,
            },
            overloads: self.overloads(&model, &cells, time, &check)?,
            memory: self.memory(&items, &check)?,
            cells,
        };
        if let Some(out) = &self.out {
            let json = serde_json::to_string_pretty(&record)?;
            files::write(out, format!("{json}\n").as_bytes())?;
        }
        output::answer(record.markdown().trim_end())
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let model = self.model.name().into_iter().flat_map(|name| ["--model", name]);
        let own = self.server.iter().map(String::as_str);
        let all = model.chain(own).chain(more.iter().copied());
        all.map(str::to_owned).collect()
    }

    /// Requests with the answers that `ask` gives; without a budget any answer will do.
    fn items(&self, model: &Model, budget: Option<&str>) -> Result<Vec<Item>> {
        let mix = StandardMix::new(Suite::new(self.suite), &[])?;
        let name = &model.card().name;
        let mut items = Vec::new();
        for index in 0..self.requests.max(1) {
            let sample = mix.sample(Split::Test, index);
            let png = sample.picture.to_png()?;
            let Some(question) = sample.questions.into_iter().next() else { continue };
            let text = match budget {
                None => None,
                Some(budget) => {
                    let parts = vec![Part::Image, Part::Text(question.text.clone())];
                    let message = Message { role: Role::User, parts };
                    let asked = Question::conversation(vec![message]).picture_bytes(png.clone());
                    let asked = asked.budget(budget.parse()?);
                    Some(model.ask(asked).map_err(failed)?.text)
                }
            };
            let model = budget.map_or_else(|| name.clone(), |budget| format!("{name}@{budget}"));
            let url = visor_benches::serve::data_url(&png);
            let body = json!({"model": model, "messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": question.text}]}]});
            items.push(Item { body: body.to_string().into_bytes(), text });
        }
        Ok(items)
    }

    /// More than can be answered, with budgets that stay and with budgets that fall. No budget is
    /// named, so that the policy chooses, or where there is none the largest rung is the start.
    fn overloads(
        &self,
        model: &Model,
        cells: &[Cell],
        time: Duration,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<Overload>> {
        let capacity = cells.iter().map(|cell| cell.throughput).fold(0.0, f64::max);
        if self.overload <= 0.0 || capacity <= 0.0 {
            return Ok(Vec::new());
        }
        let items = self.items(model, None)?;
        let (rate, limit) = (capacity * self.overload, Duration::from_secs_f64(self.limit));
        let timeout = format!("{}", self.limit);
        let mut all: [Vec<Asked>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..self.rounds {
            for (degrade, asked) in [false, true].into_iter().zip(&mut all) {
                check()?;
                let mut more = vec!["--request-timeout", timeout.as_str()];
                more.extend(degrade.then_some("--degrade"));
                let server = Server::start(&self.arguments(&more))?;
                asked.extend(open(server.address, &items, CROWD, rate, time));
            }
        }
        let [stays, falls] = all;
        Ok(vec![
            Overload::new(false, rate, limit, &stays),
            Overload::new(true, rate, limit, &falls),
        ])
    }

    fn memory(&self, items: &[Vec<Item>], check: &dyn Fn() -> Result<()>) -> Result<Vec<Memory>> {
        let (mut memory, mut before) = (Vec::new(), 0);
        let Some(items) = items.first() else { return Ok(memory) };
        let server = Server::start(&self.arguments(&[]))?;
        for &requests in self.memory.iter().filter(|requests| **requests > 0) {
            check()?;
            let more = requests.saturating_sub(before);
            closed(server.address, items, 16, Duration::from_secs(3600), more);
            before = requests;
            memory.push(Memory { requests, rss_bytes: server.resident()? });
        }
        Ok(memory)
    }
}

/// A server in another process, which ends when this does.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--port", "0", "--log-level", "error"]).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the server")?;
        let said = child.stderr.take().context("the server says nothing")?;
        let (mut address, mut text) = (None, String::new());
        let mut lines = BufReader::new(said).lines();
        for line in lines.by_ref() {
            let line = line?;
            if let Some((_, found)) = line.split_once("listening at http://") {
                address = found.trim().parse().ok();
            }
            if line == "ready" {
                break;
            }
            text.push_str(&line);
        }
        let Some(address) = address else {
            let _ = child.wait();
            bail!("the server did not start: {text}");
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        Ok(kib.context("the system does not tell how much memory the server holds")? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The load of the machine over the last minute.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
