//! The terminal while the view is on it: taken, drawn on once a second and at every key, given back whatever happens.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crossterm::event::Event;
use ratatui::DefaultTerminal;
use ratatui::widgets::TableState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::keys::{Press, press};
use super::model::{Model, Pane, Wish};
use super::moment::Moment;
use super::view::{Paint, draw};
use super::{TICK, look};
use crate::client::Client;
use crate::error::CommandError;
use crate::terminal::TerminalError;

/// A daemon that has not answered for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A shell's exit statuses for who was ended by a signal.
const HUNG_UP: u8 = 129;
const TERMINATED: u8 = 143;

/// The terminal, until dropped.
struct Screen {
    terminal: DefaultTerminal,
    place: TableState,
    paint: Paint,
}

impl Screen {
    fn enter() -> Result<Self, TerminalError> {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // Also gives it back when something panics.
        let terminal = ratatui::try_init().map_err(TerminalError::RawMode)?;
        let paint = if plain { Paint::None } else { Paint::Colours };
        Ok(Self { terminal, place: TableState::default(), paint })
    }

    fn show(&mut self, model: &Model) -> Result<(), TerminalError> {
        let Self { terminal, place, paint } = self;
        terminal.draw(|frame| draw(frame, model, place, *paint)).map_err(TerminalError::Drawing)?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to be done about a terminal that is gone.
        let _ = ratatui::try_restore();
    }
}

/// Keys and changes of size, as they come.
fn typed() -> mpsc::UnboundedReceiver<Event> {
    let (sender, receiver) = mpsc::unbounded_channel();
    // Reading a terminal cannot be cancelled; the thread ends with the process.
    std::thread::spawn(move || {
        while let Ok(event) = crossterm::event::read() {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

type Look<'a> = Pin<Box<dyn Future<Output = Result<Moment, CommandError>> + Send + 'a>>;

fn begin(client: &Client, pane: Pane) -> Look<'_> {
    Box::pin(async move {
        let looked = tokio::time::timeout(PATIENCE, look(client, pane == Pane::Actors)).await;
        looked.unwrap_or_else(|_| {
            Err(CommandError::Refused(format!("no answer within {} s", PATIENCE.as_secs())))
        })
    })
}

/// Shows the view until the user or a signal ends it.
pub async fn run(client: &Client) -> Result<u8, CommandError> {
    let mut model = Model::default();
    // A daemon that is away is told of before the terminal is taken.
    model.take(begin(client, Pane::Sinks).await?);
    let told = |kind| signal(kind).map_err(TerminalError::RawMode);
    let (mut terminate, mut hang_up) = (told(SignalKind::terminate())?, told(SignalKind::hangup())?);
    let mut screen = Screen::enter()?;
    let mut keys = typed();
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looking: Option<Look<'_>> = None;
    loop {
        screen.show(&model)?;
        let looked = async {
            match looking.as_mut() {
                Some(look) => look.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            moment = looked => {
                looking = None;
                match moment {
                    Ok(moment) => model.take(moment),
                    Err(error) => model.miss(&error.to_string()),
                }
            }
            _ = ticks.tick() => {
                if looking.is_none() {
                    looking = Some(begin(client, model.pane));
                }
            }
            event = keys.recv() => match event {
                Some(Event::Key(key)) => match press(key, model.typing) {
                    Some(Press::Quit) => return Ok(0),
                    Some(Press::Wish(wish)) => {
                        model.grant(wish);
                        if wish == Wish::Actors {
                            looking = Some(begin(client, model.pane));
                        }
                    }
                    None => {}
                },
                // Another size is found out when it is drawn.
                Some(_) => {}
                None => return Ok(HUNG_UP),
            },
            _ = terminate.recv() => return Ok(TERMINATED),
            _ = hang_up.recv() => return Ok(HUNG_UP),
        }
    }
}
