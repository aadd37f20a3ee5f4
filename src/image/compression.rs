//! How layers and archives are compressed.

use std::io::{self, BufRead, Read};

use anyhow::{Context, Result};

/// The most memory, in bytes, that an xz stream may ask for: enough for `xz -9`, which needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;
/// The largest window of a zstd stream, as a power of two: what the zstd program itself accepts.
const ZSTD_WINDOW: u32 = 27;

/// A compression, told by the first bytes and never by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Nothing,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// Tells the compression of what begins with `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, with which zstd:chunked and pzstd begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::Nothing,
        }
    }

    /// Returns a reader of what `input` holds compressed. All of `input` belongs to it: several members
    /// or frames in a row are one content.
    pub(super) fn decoder<'a, R: BufRead + Send + 'a>(self, input: R) -> Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Nothing => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(input).context("start to decompress zstd")?;
                decoder.window_log_max(ZSTD_WINDOW).context("start to decompress zstd")?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Xz => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                        .map_err(io::Error::from)
                        .context("start to decompress xz")?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Compression::{Bzip2, Gzip, Nothing, Xz, Zstd};
    use super::*;
    use std::io::Write;

    #[test]
    fn reads_several_members_of_each_kind() {
        let part = |compression| -> Vec<u8> {
            let text = b"some text";
            match compression {
                Compression::Nothing => text.to_vec(),
                Compression::Gzip => {
                    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                    out.write_all(text).unwrap();
                    out.finish().unwrap()
                }
                Compression::Zstd => zstd::encode_all(&text[..], 1).unwrap(),
                Compression::Bzip2 => {
                    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                    out.write_all(text).unwrap();
                    out.finish().unwrap()
                }
                Compression::Xz => {
                    let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
                    out.write_all(text).unwrap();
                    out.finish().unwrap()
                }
            }
        };
        for compression in [Nothing, Gzip, Zstd, Bzip2, Xz] {
            let twice = [part(compression), part(compression)].concat();
            assert_eq!(Compression::of(&twice), compression);
            let mut out = String::new();
            compression.decoder(&twice[..]).unwrap().read_to_string(&mut out).unwrap();
            assert_eq!(out, "some textsome text");
            if compression != Nothing {
                let cut = &twice[..twice.len() - 3];
                assert!(compression.decoder(cut).unwrap().read_to_end(&mut Vec::new()).is_err());
            }
        }
    }

    #[test]
    fn skips_frames_that_hold_nothing() {
        // What zstd:chunked puts behind its data, and pzstd before each frame.
        let skippable = [&0x184d_2a50_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"toc"].concat();
        let frame = zstd::encode_all(&b"text"[..], 1).unwrap();
        let bytes = [&skippable[..], &frame, &skippable, &frame, &skippable].concat();
        assert_eq!(Compression::of(&bytes), Zstd);
        let mut out = String::new();
        Zstd.decoder(&bytes[..]).unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(out, "texttext");
    }

    #[test]
    fn takes_no_garbage_behind_the_end() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"text").unwrap();
        let mut bytes = encoder.finish().unwrap();
        bytes.extend_from_slice(b"garbage that is no header");
        assert!(Gzip.decoder(&bytes[..]).unwrap().read_to_end(&mut Vec::new()).is_err());
        // The empty layer of old images: 1024 zeros.
        let empty = [
            0x1f, 0x8b, 8, 0, 0, 0x09, 0x6e, 0x88, 0, 0xff, 0x62, 0x18, 0x05, 0xa3, 0x60, 0x14, 0x8c, 0x58,
            0, 0x08, 0, 0, 0xff, 0xff, 0x2e, 0xaf, 0xb5, 0xef, 0, 4, 0, 0,
        ];
        let mut out = Vec::new();
        Gzip.decoder(&empty[..]).unwrap().read_to_end(&mut out).unwrap();
        assert_eq!(out, [0; 1024]);
    }
}
