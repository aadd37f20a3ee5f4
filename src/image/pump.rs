//! An archive from one thread to another.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::thread;

use anyhow::{Context, Result};

use super::compression::Compression;
use super::pipe::{is_abandoned, pipe};

/// Runs `write` in another thread, and `read` on what it writes in this one. Returns what came of both: the one
/// that failed only because the other did is taken to have done nothing.
pub fn pump<T>(
    write: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
    read: impl FnOnce(&mut dyn BufRead) -> Result<T>,
) -> (Result<()>, Option<Result<T>>) {
    let (writer, mut reader) = pipe();
    thread::scope(|scope| {
        let writing = thread::Builder::new().spawn_scoped(scope, move || -> Result<()> {
            let mut out = writer.into_write();
            write(&mut out)?;
            out.finish().context("pack the archive")
        });
        let writing = match writing.context("start a thread") {
            Ok(writing) => writing,
            Err(error) => return (Err(error), None),
        };
        let done = read(&mut reader);
        // Whoever still writes shall see that nobody reads.
        drop(reader);
        let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (written, done) {
            (Err(error), done @ Err(_)) if is_abandoned(&error) => (Ok(()), Some(done)),
            (written, Err(error)) if is_abandoned(&error) => (written, None),
            (written, done) => (written, Some(done)),
        }
    })
}

/// Returns a reader of the archive that `input` is, compressed or not.
pub fn decompress<'a>(input: impl Read + Send + 'a) -> Result<Box<dyn BufRead + 'a>> {
    let mut input = BufReader::with_capacity(super::pipe::SIZE, input);
    let first = loop {
        match input.fill_buf() {
            Ok(first) => break first,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("read the archive"),
        }
    };
    Ok(match Compression::of(first) {
        Compression::Nothing => Box::new(input),
        packed => Box::new(BufReader::with_capacity(super::pipe::SIZE, packed.decoder(input)?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_who_failed() {
        let (written, read) = pump(
            |out| Ok(out.write_all(b"text")?),
            |input| {
                let mut text = String::new();
                input.read_to_string(&mut text)?;
                Ok(text)
            },
        );
        written.unwrap();
        assert_eq!(read.unwrap().unwrap(), "text");
        let (written, read) = pump(|_| anyhow::bail!("no"), |input| Ok(input.read_to_end(&mut Vec::new())?));
        assert_eq!((written.unwrap_err().to_string().as_str(), read.is_none()), ("no", true));
        let endless = |out: &mut dyn Write| loop {
            out.write_all(&[0; 4096])?;
        };
        let (written, read) = pump(endless, |_| -> Result<()> { anyhow::bail!("enough") });
        written.unwrap();
        assert_eq!(read.unwrap().unwrap_err().to_string(), "enough");
    }

    #[test]
    fn takes_any_compression() {
        let bytes = zstd::encode_all(&b"text"[..], 1).unwrap();
        for bytes in [&b"text"[..], &bytes] {
            let mut text = String::new();
            decompress(bytes).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "text");
        }
        assert_eq!(decompress(&b""[..]).unwrap().read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
