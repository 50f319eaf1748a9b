//! Reads vector files and plays them to a card.

use card_sim::Card;

pub(crate) const UID: [u8; 7] = [0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6];

/// One line of a vector file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Random(Vec<u8>),
    Command(Vec<u8>),
    Answer(Vec<u8>),
    Reset,
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXUPPER
        .decode(text.trim().as_bytes())
        .expect("hex")
}

pub(crate) fn parse(text: &str) -> Vec<Step> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match line.split_once(' ') {
            Some(("random", bytes)) => Step::Random(hex(bytes)),
            Some(("C", bytes)) => Step::Command(hex(bytes)),
            Some(("R", bytes)) => Step::Answer(hex(bytes)),
            None if line == "reset" => Step::Reset,
            _ => panic!("unknown line {line:?}"),
        })
        .collect()
}

/// Sends one logical command and fetches the frames of the answer: joined data, last status.
pub(crate) fn exchange(card: &mut Card, command: &[u8]) -> Vec<u8> {
    let handshake = matches!(command.get(1), Some(0x71 | 0x77));
    let mut answer = card.transmit(command).answer;
    while !handshake && answer.ends_with(&[0x91, 0xAF]) {
        let more = card.transmit(&[0x90, 0xAF, 0x00, 0x00, 0x00]).answer;
        answer.truncate(answer.len() - 2);
        answer.extend(more);
    }
    answer
}

/// Plays every step and compares the answers; gives the number of commands.
pub(crate) fn run(card: &mut Card, steps: &[Step]) -> usize {
    let mut commands = 0;
    let mut answer = None;
    for step in steps {
        match step {
            Step::Random(bytes) => card.script_random(bytes),
            Step::Reset => card.reset(),
            Step::Command(command) => {
                commands += 1;
                answer = Some(exchange(card, command));
            }
            Step::Answer(expected) => {
                let answer = answer.take().expect("an answer follows a command");
                assert_eq!(
                    data_encoding::HEXUPPER.encode(&answer),
                    data_encoding::HEXUPPER.encode(expected),
                    "answer to command {commands}"
                );
            }
        }
    }
    commands
}
