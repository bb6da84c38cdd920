//! One repair for the JPEG decoder: RGB stored as such.

/// A three-component JPEG whose Adobe segment says "no colour transform" holds RGB. The decoder
/// only believes that of components named R, G and B, so this renames them in a copy.
///
/// `None` where there is nothing to rename.
pub(super) fn adobe_rgb(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut renames = Vec::new();
    let mut ids = [0; 3];
    let mut untransformed = false;
    let mut at = 2;
    loop {
        let [0xFF, marker, high, low] = *bytes.get(at..at + 4)? else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let body = bytes.get(at + 4..at + 2 + length)?;
        match marker {
            0xEE if body.starts_with(b"Adobe") => untransformed = *body.get(11)? == 0,
            0xC0..=0xC2 => {
                if *body.get(5)? != 3 {
                    return None;
                }
                for (i, id) in ids.iter_mut().enumerate() {
                    *id = *body.get(6 + 3 * i)?;
                    renames.push((at + 10 + 3 * i, i));
                }
            }
            0xDA => {
                for i in 0..usize::from(*body.first()?) {
                    let id = *body.get(1 + 2 * i)?;
                    renames.push((at + 5 + 2 * i, ids.iter().position(|&known| known == id)?));
                }
                break;
            }
            _ => {}
        }
        at += 2 + length;
    }
    // Only the usual single scan: later ones would have to be renamed too.
    if !untransformed || renames.len() != 6 {
        return None;
    }
    let mut renamed = bytes.to_vec();
    for (at, component) in renames {
        renamed[at] = b"RGB"[component];
    }
    Some(renamed)
}
