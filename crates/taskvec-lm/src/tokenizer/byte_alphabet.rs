//! The 256 characters with which byte-level BPE spells bytes.
//!
//! GPT-2's map: printable Latin-1 characters stand for themselves, the other 68 bytes for the
//! characters from U+0100 on. Sorted by code point these are ids 0 to 255 of every Qwen2 vocabulary.

/// Whether a byte is spelled by the character of the same code point.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character that spells each byte.
const CHARACTERS: [char; 256] = {
    let mut characters = ['\0'; 256];
    let mut shifted = 0u8;
    let mut byte = 0usize;
    while byte < 256 {
        characters[byte] = if is_printable(byte as u8) {
            byte as u8 as char
        } else {
            // U+0100 + n, as UTF-16 unit arithmetic is not const: 68 values, all below U+0144.
            let Some(character) = char::from_u32(0x100 + shifted as u32) else {
                panic!("U+0100 to U+0143 are characters")
            };
            shifted += 1;
            character
        };
        byte += 1;
    }
    characters
};

/// The character that spells `byte`.
#[cfg(test)]
fn character(byte: u8) -> char {
    CHARACTERS[usize::from(byte)]
}

/// The byte that `character` spells, or `None` where it spells none.
pub(super) fn byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => is_printable(byte).then_some(byte),
        Err(_) => {
            let index = usize::try_from(code - 0x100).ok()?;
            (0..=u8::MAX).filter(|byte| !is_printable(*byte)).nth(index)
        }
    }
}

/// Appends the bytes a vocabulary entry stands for.
///
/// An entry with a character outside the alphabet stands for its own UTF-8, whole: what the
/// `tokenizers` library does with added tokens.
pub(super) fn push_bytes(token: &str, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for character in token.chars() {
        if let Some(byte) = byte(character) {
            bytes.push(byte);
        } else {
            bytes.truncate(start);
            bytes.extend_from_slice(token.as_bytes());
            return;
        }
    }
}

/// The 256 characters in the order of their ids.
pub(super) fn in_id_order() -> Vec<char> {
    let mut characters = CHARACTERS.to_vec();
    characters.sort_unstable();
    characters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character_and_back() {
        for value in 0..=u8::MAX {
            assert_eq!(byte(character(value)), Some(value));
        }
        assert_eq!(character(b' '), 'Ġ');
        assert_eq!(character(b'\n'), 'Ċ');
        assert_eq!(byte('Ń'), Some(0xAD));
        assert_eq!(byte('ń'), None);
        assert_eq!(byte(' '), None);
        assert_eq!(byte('中'), None);
    }

    #[test]
    fn ids_begin_as_the_published_vocabulary_does() {
        let characters = in_id_order();
        assert_eq!(characters.len(), 256);
        assert_eq!(
            (characters[0], characters[14], characters[220]),
            ('!', '/', 'Ġ')
        );
    }

    #[test]
    fn an_entry_outside_the_alphabet_is_its_own_utf8() {
        let mut bytes = b"x".to_vec();
        push_bytes("Ġa", &mut bytes);
        assert_eq!(bytes, b"x a");
        push_bytes("a 中", &mut bytes);
        assert_eq!(bytes, "x aa 中".as_bytes());
    }
}
