//! Mails and archives around a program.

use data_encoding::BASE64;

/// A mail with these attachments: name, media type, content in base64.
pub(super) fn mail(attachments: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut text = String::from(
        "From: issuer@conformance.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nhello\r\n",
    );
    for (name, media_type, bytes) in attachments {
        text.push_str(&format!(
            "--b\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{}\r\n",
            BASE64.encode(bytes)
        ));
    }
    text.push_str("--b--\r\n");
    text.into_bytes()
}

/// A mail with one program in quoted-printable, every byte written as `=XX`.
pub(super) fn quoted(bytes: &[u8]) -> Vec<u8> {
    let line = |chunk: &[u8]| chunk.iter().map(|byte| format!("={byte:02X}")).collect();
    let lines: Vec<String> = bytes.chunks(24).map(line).collect();
    // A `=` at the end of a line joins it to the next one.
    let lines = lines.join("=\r\n");
    format!(
        "From: x@conformance.example\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n{lines}"
    )
    .into_bytes()
}

/// The bytes in a gzip file, stored without compression (RFC 1952, RFC 1951 section 3.2.4).
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut deflate = Vec::new();
    let chunks = bytes.chunks(0xFFFF);
    let last = chunks.len();
    for (place, chunk) in chunks.enumerate() {
        deflate.push(u8::from(place + 1 == last));
        let len = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
        deflate.extend(len.to_le_bytes());
        deflate.extend((!len).to_le_bytes());
        deflate.extend_from_slice(chunk);
    }
    gzip_of(&deflate, bytes.len(), crc32(bytes))
}

fn gzip_of(deflate: &[u8], len: usize, crc: u32) -> Vec<u8> {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    [
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff".as_slice(),
        deflate,
        &crc.to_le_bytes(),
        &len.to_le_bytes(),
    ]
    .concat()
}

/// 42 KiB of gzip that unpack to seven megabytes of zeros: one literal, then matches of 258 bytes
/// at distance 1 with the fixed codes (RFC 1951 section 3.2.6).
pub(super) fn bomb() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0b011, 3);
    bits.push_code(0x30, 8);
    let matches = 42 * 1024 * 8 / 13;
    for _ in 0..matches {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    let len = 1 + matches * 258;
    gzip_of(&bits.bytes, len, crc32(&vec![0; len]))
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// `count` bits of `value`, the lowest first.
    fn push(&mut self, value: u32, count: u32) {
        for place in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = u8::from(value >> place & 1 == 1) << (self.used % 8);
            *self.bytes.last_mut().expect("just pushed") |= bit;
            self.used += 1;
        }
    }

    /// A Huffman code: the highest bit first.
    fn push_code(&mut self, value: u32, count: u32) {
        for place in (0..count).rev() {
            self.push(value >> place & 1, 1);
        }
    }
}

/// The bytes in a zip file with one stored entry (APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16).
pub(super) fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let name_len = u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes();
    let common = [
        b"\x14\0\0\0\0\0\0\0\0\0".as_slice(),
        &crc32(bytes).to_le_bytes(),
        &len,
        &len,
        &name_len,
        b"\0\0",
    ]
    .concat();
    let local = [b"PK\x03\x04".as_slice(), &common, name.as_bytes(), bytes].concat();
    let central = [
        b"PK\x01\x02\x14\0".as_slice(),
        &common,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        name.as_bytes(),
    ]
    .concat();
    let size = u32::try_from(central.len()).unwrap_or(u32::MAX);
    let offset = u32::try_from(local.len()).unwrap_or(u32::MAX);
    [
        local.as_slice(),
        &central,
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0",
        &size.to_le_bytes(),
        &offset.to_le_bytes(),
        b"\0\0",
    ]
    .concat()
}

/// The bytes in a Zstandard frame of one raw block (RFC 8878 section 3.1.1).
pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let header = ((len << 3) | 1).to_le_bytes();
    [
        b"\x28\xb5\x2f\xfd\xa0".as_slice(),
        &len.to_le_bytes(),
        &header[..3],
        bytes,
    ]
    .concat()
}

/// The bytes in a Brotli stream of one uncompressed meta-block (RFC 7932 section 9.2).
pub(super) fn brotli(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len().min(1 << 16)).unwrap_or(1);
    let mut bits = Bits::default();
    // Window of 16 bits; not the last; four nibbles of length; uncompressed.
    bits.push(0, 4);
    bits.push(len.saturating_sub(1), 16);
    bits.push(1, 1);
    [bits.bytes.as_slice(), bytes, &[3]].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|start| {
            (0..8).fold(start, |crc, _| {
                if crc & 1 == 1 {
                    crc >> 1 ^ 0xEDB8_8320
                } else {
                    crc >> 1
                }
            })
        })
        .collect();
    !bytes.iter().fold(!0, |crc: u32, byte| {
        let [low, ..] = crc.to_le_bytes();
        let entry = table.get(usize::from(low ^ byte)).copied().unwrap_or(0);
        crc >> 8 ^ entry
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_the_published_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_bomb_is_small_and_announces_megabytes() {
        let bomb = bomb();
        assert!((40 << 10..64 << 10).contains(&bomb.len()));
        let announced = bomb.last_chunk::<4>().map(|len| u32::from_le_bytes(*len));
        assert!(announced > Some(6_000_000));
    }
}
