//! `show` and `import`: fixtures for people and for other tools.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use matrix::BuildId;
use protocol::captures::{self, BadCapture};
use transcript::{Event, EventKind, Transcript};
use verdict::{Grammar, Reading};

use crate::args::{Global, Import, Show};
use crate::exit::Exit;
use crate::{Done, Failure, terminal};

pub(crate) fn show(_global: &Global, args: &Show) -> Done {
    let transcript = load(&args.file)?;
    if let Some(path) = &args.pcapng {
        let bytes = transcript::export::pcapng(&transcript);
        std::fs::write(path, bytes)
            .map_err(|e| Failure::text(Exit::Setup, format!("cannot write `{}`: {e}", path.display())))?;
        return Ok(ExitCode::SUCCESS);
    }
    let text =
        if args.canonical { transcript::text::render(&transcript) } else { render(&transcript, args.hex) };
    terminal::print(&text);
    Ok(Exit::AsExpected.into())
}

/// Reads a fixture, or a raw recording by its ending.
pub(crate) fn load(path: &Path) -> Result<Transcript, Failure> {
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        let text = transcript::fixture::open(path)
            .and_then(std::io::read_to_string)
            .map_err(|e| Failure::text(Exit::Setup, format!("cannot read `{}`: {e}", path.display())))?;
        return transcript::import::raw::import(&text)
            .map_err(|e| Failure::text(Exit::Setup, format!("`{}`: {e}", path.display())));
    }
    transcript::fixture::load(path).map_err(Failure::setup)
}

/// A transcript with every frame decoded.
pub(crate) fn render(transcript: &Transcript, hex: bool) -> String {
    let header = &transcript.provenance;
    let mut out = format!("{} {}\n", header.protocol, header.case);
    for (side, end) in [("client", &header.client), ("server", &header.server)] {
        let words = [
            Some(&end.id),
            end.version.as_ref(),
            end.package.as_ref(),
            end.source.as_ref(),
            end.digest.as_ref(),
        ];
        let words: Vec<_> = words.into_iter().flatten().map(|word| report::escape(word)).collect();
        out.push_str(&format!("{side}: {}\n", words.join(" · ")));
    }
    let grammar = grammar(transcript);
    let reading = grammar.as_ref().map(|grammar| Reading::of(transcript, &**grammar));
    for (index, event) in transcript.events.iter().enumerate() {
        out.push_str(&format!("{:>12.6}  {}\n", event.at_us as f64 / 1e6, event_line(event)));
        if let (Some(reading), Some(grammar)) = (&reading, &grammar) {
            frames(&mut out, reading, &**grammar, index, hex);
        }
    }
    out
}

fn grammar(transcript: &Transcript) -> Option<std::sync::Arc<dyn Grammar>> {
    let protocol = registry::find(&transcript.provenance.protocol)?;
    let version = transcript.provenance.server.version.clone().unwrap_or_default();
    protocol.grammar(&version).or_else(|| protocol.grammar("ideal"))
}

fn event_line(event: &Event) -> String {
    let arrow = match event.dir {
        wire::Direction::ToServer => "→",
        wire::Direction::ToClient => "←",
    };
    let what = match &event.kind {
        EventKind::Connect => "connect".to_owned(),
        EventKind::ConnectFailed(error) => format!("cannot connect: {}", report::escape(error)),
        EventKind::Data(data) => {
            let mut text = format!("{} bytes", data.bytes.len());
            if !data.fds.is_empty() {
                let kinds: Vec<_> = data.fds.iter().map(|fd| report::escape(&fd.0)).collect();
                text.push_str(&format!(", descriptors {}", kinds.join(" ")));
            }
            if let Some(creds) = data.creds {
                text.push_str(&format!(
                    ", credentials pid {} uid {} gid {}",
                    creds.pid, creds.uid, creds.gid
                ));
            }
            text
        }
        EventKind::Eof(detail) => format!("end {}", report::escape(detail.as_deref().unwrap_or_default())),
        EventKind::Reset => "reset".to_owned(),
        EventKind::Timeout(ms) => format!("nothing for {ms} ms"),
        EventKind::Exit(status) => format!("process ended: {status:?}"),
        EventKind::Mark(mark) => {
            let args: Vec<_> = mark.args.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("── {} {}", report::escape(&mark.label), report::escape(&args.join(" ")))
        }
        EventKind::Observe { key, value } => {
            format!("seen: {} = {}", report::escape(key), report::escape(value))
        }
    };
    format!("[{}] {arrow} {}", event.conn, what.trim_end())
}

fn frames(out: &mut String, reading: &Reading, grammar: &dyn Grammar, index: usize, hex: bool) {
    for step in reading.conns.iter().flat_map(|conn| &conn.steps) {
        let requests = step.requests.iter().map(|at| (wire::Direction::ToServer, at, None));
        let replies = step.replies.iter().map(|r| (wire::Direction::ToClient, &r.at, r.request.as_ref()));
        for (dir, at, request) in requests.chain(replies).filter(|(_, at, _)| at.event == index) {
            let dissection = grammar.dissect(dir, &at.frame, request);
            out.push_str(&format!("              {}\n", report::escape(&dissection.title)));
            for field in &dissection.fields {
                let line = report::escape(&verdict::render::field(field, &at.frame.bytes));
                out.push_str(&format!("                {line}\n"));
            }
            for problem in &dissection.problems {
                out.push_str(&format!("                problem: {}\n", report::escape(&problem.what)));
            }
            if hex {
                for line in at.frame.bytes.chunks(16) {
                    let bytes: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
                    out.push_str(&format!("                | {}\n", bytes.join(" ")));
                }
            }
        }
        if let Some((_, error)) = step.undecodable.filter(|(event, _)| *event == index) {
            out.push_str(&format!("              not a frame: {error}\n"));
        }
    }
}

pub(crate) fn import(args: &Import) -> Done {
    for file in &args.files {
        let mut transcript = load(file)?;
        rename(&mut transcript.provenance, args);
        give_roles(&mut transcript);
        give_captures(&mut transcript)
            .map_err(|bad| Failure::text(Exit::Setup, format!("`{}`: {bad}", file.display())))?;
        let is_renamed = args.case.is_some() || !args.ids.is_empty();
        let path = match placed(&transcript.provenance).filter(|_| is_renamed) {
            Some(path) => {
                check_ids(&transcript.provenance)?;
                args.out.join(path)
            }
            None => {
                let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
                args.out.join(format!("{}.wire", stem.unwrap_or_default()))
            }
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Failure::setup)?;
        }
        transcript::fixture::store(&path, &transcript).map_err(Failure::setup)?;
        terminal::print(&format!("{}\n", path.display()));
    }
    Ok(Exit::AsExpected.into())
}

/// What the parts of a recording are for, where the case that it is of says so.
fn give_roles(transcript: &mut transcript::Transcript) {
    let Some(protocol) = registry::find(&transcript.provenance.protocol) else { return };
    let cases = protocol.cases();
    let case = cases.iter().find(|case| case.id.to_string() == transcript.provenance.case);
    if let Some(protocol::Action::Script(script)) = case.map(|case| &case.action) {
        runner::give_roles(&script.make(), transcript);
    }
}

/// What later requests quote of replies, where their grammar says that it may be quoted.
pub(crate) fn give_captures(transcript: &mut Transcript) -> Result<(), BadCapture> {
    grammar(transcript).map_or(Ok(()), |grammar| captures::give(transcript, &*grammar))
}

/// Calls builds and case as the project calls them.
fn rename(header: &mut transcript::Provenance, args: &Import) {
    let ends = header.builds.iter_mut().flat_map(|change| [&mut change.client, &mut change.server]);
    for end in ends.chain([&mut header.client, &mut header.server]) {
        let new = args.ids.iter().find(|(from, _)| *from == end.id);
        end.id = new.map_or_else(|| std::mem::take(&mut end.id), |(_, to)| to.clone());
    }
    if let Some(case) = &args.case {
        header.case = case.to_string();
    }
}

/// Ids become names of folders.
fn check_ids(header: &transcript::Provenance) -> Result<(), Failure> {
    match [&header.client.id, &header.server.id].into_iter().find(|id| !matrix::is_plain_name(id)) {
        Some(id) => {
            Err(Failure::text(Exit::Setup, format!("`{}` cannot be the id of a build", report::escape(id))))
        }
        None => Ok(()),
    }
}

/// Where a fixture of that header belongs below the folder of its protocol.
fn placed(header: &transcript::Provenance) -> Option<PathBuf> {
    let case = header.case.parse().ok()?;
    let (client, server) = (BuildId::new(header.client.id.as_str()), BuildId::new(header.server.id.as_str()));
    let path = runner::fixture_path(&header.protocol, &client, &server, &case);
    path.strip_prefix(Path::new("fixtures").join(&header.protocol)).ok().map(Path::to_path_buf)
}
