//! Scripts in which a client takes part that acts by itself, and what is done in a server's stead.

use super::*;
use crate::{Closes, LaunchError, LaunchErrorKind, Successor, mark};

/// Writes down what it is told, and what is done to a server.
#[derive(Default)]
struct Told(Vec<String>);

impl Told {
    fn note<T>(&mut self, what: String, value: T) -> BoxFuture<'static, Result<T, LaunchError>>
    where
        T: Send + 'static,
    {
        self.0.push(what);
        Box::pin(std::future::ready(Ok(value)))
    }
}

impl Actor for Told {
    fn act<'a>(
        &'a mut self,
        act: &'a ClientAct,
        _server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        self.note(format!("{act:?}"), ())
    }

    fn go_on<'a>(
        &'a mut self,
        time: Duration,
        _server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        self.note(format!("goes on for {time:?}"), ())
    }

    fn catch_up(&mut self) -> BoxFuture<'_, Result<(), LaunchError>> {
        self.note("catches up".to_owned(), ())
    }

    fn meet<'a>(
        &'a mut self,
        act: &'a ServerAct,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        self.0.push(format!("meets {act}"));
        server.act(act)
    }
}

/// A server that can be replaced, and in whose stead something can be written; or that only says so.
struct Replaceable {
    address: Address,
    ignores: bool,
    replaced_by: Option<Successor>,
    injected: usize,
}

impl Server for Replaceable {
    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&mut self, _recorder: &Recorder) {}

    fn act<'a>(&'a mut self, act: &'a ServerAct) -> BoxFuture<'a, Result<(), LaunchError>> {
        if let (ServerAct::Replace(by), false) = (act, self.ignores) {
            self.replaced_by = Some(by.clone());
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn replaced_by(&self) -> Option<&Successor> {
        self.replaced_by.as_ref()
    }

    fn inject<'a>(&'a mut self, injection: &'a Injection) -> BoxFuture<'a, Result<(), LaunchError>> {
        self.injected += injection.writes.len();
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn server(ignores: bool) -> Replaceable {
    let address = Address::Abstract(b"wireskew-test-nobody-listens".to_vec());
    Replaceable { address, ignores, replaced_by: None, injected: 0 }
}

fn replace(release: &str) -> Step {
    Step::Server(ServerAct::Replace(Successor::release(release)))
}

/// Plays steps; what was written down, in short, or why it could not go on.
async fn play(
    server: &mut dyn Server,
    actor: Option<&mut dyn Actor>,
    steps: Vec<Step>,
) -> Result<Vec<String>, String> {
    let (recorder, heads) = (Recorder::new(), Heads::default());
    let mut conversation = Conversation::new(server, &heads, &recorder, 1.0);
    if let Some(actor) = actor {
        conversation = conversation.with(actor);
    }
    let script = Script { condition: None, steps };
    conversation.play(&script).await.map_err(|error| error.to_string())?;
    let told = recorder.take().into_iter().map(|event| match event.kind {
        EventKind::Mark(mark) => ServerAct::of_mark(&mark).map_or(mark.label, |act| act.to_string()),
        EventKind::Observe { key, value } => format!("{key}={value}"),
        other => format!("{other:?}"),
    });
    Ok(told.collect())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_acts_by_itself_is_told_what_happens() {
    let start = ClientAct::Start { build: Successor::First, handed_over: false };
    let steps = vec![
        Step::Client(start.clone()),
        Step::Pause { ms: 3_600_000 },
        replace("2.0"),
        Step::Mark(ConnId(0), mark("canary", &[])),
        Step::Inject(Injection { writes: vec![Bytes::new()], closes: Closes::Never }),
        Step::Client(ClientAct::Kill),
    ];
    let (mut server, mut told, began) = (server(false), Told::default(), Instant::now());
    let written = play(&mut server, Some(&mut told), steps).await;
    assert_eq!(written.as_deref(), Ok(&["replace 2.0", "replaced-by=2.0", "canary"].map(str::to_owned)[..]));
    let expect = [&format!("{start:?}"), "goes on for 3600s", "meets replace 2.0", "catches up", "Kill"];
    assert_eq!(told.0, expect);
    // How long a pause takes is the client's affair.
    assert_eq!((server.injected, began.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_does_not_come_about_is_not_written_down() {
    let written = play(&mut server(true), None, vec![replace("2.0")]).await;
    assert_eq!(written.as_deref(), Ok(&["replace 2.0".to_owned()][..]));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_do_ends_the_conversation() {
    let told = Step::Client(ClientAct::Kill);
    let why = play(&mut server(false), None, vec![told]).await;
    assert_eq!(why, Err("no client takes part that acts by itself".to_owned()));
    let why = play(&mut server(false), None, vec![Step::Release]).await;
    assert_eq!(why, Err(format!("let the server go on: {}", LaunchErrorKind::CannotAct)));
}
