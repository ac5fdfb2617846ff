//! Bodies of wrap and unwrap from strangers: every input is read or refused, what was read says the same when it is written
//! down plainly and read again, our own answers are read to what they answer, and what is kept of a stated reason is short.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use server::wire::{
    AccessReason, CryptoCall, PayloadField, REASON_TEXT_MAX, WireError, decode_base64, unwrap_answer, wrap_answer,
};

/// See the top of this file.
pub fn run(body: &[u8]) {
    for (payload, name) in [(PayloadField::Plaintext, "plaintext"), (PayloadField::WrappedBlob, "wrappedBlob")] {
        match CryptoCall::parse(body, payload) {
            Ok(call) => says_the_same_again(&call, payload, name),
            Err(WireError::Json { line, column }) => assert!(line <= body.len() + 1 && column <= body.len() + 1),
            Err(_) => {}
        }
    }
    let read_back = |json: &[u8], payload| CryptoCall::parse(json, payload).expect("our own answers are JSON").payload;
    assert_eq!(read_back(&wrap_answer(body), PayloadField::WrappedBlob), body);
    assert_eq!(read_back(&unwrap_answer(body), PayloadField::Plaintext), body);
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(bytes) = decode_base64(text)
    {
        let plain = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        assert_eq!(STANDARD_NO_PAD.encode(bytes), plain, "bytes have one spelling but for alphabet and padding");
    }
}

fn says_the_same_again(call: &CryptoCall<'_>, payload: PayloadField, name: &str) {
    let kept = call.reason.as_str().map_or(0, str::len);
    assert!(kept <= REASON_TEXT_MAX, "a reason of the caller's is kept without end");
    let mut context = json!({ "isKeyHealthCheck": call.is_health_check });
    if let Some(resource) = &call.resource_name {
        context["relativeResourceName"] = Value::from(resource.as_ref());
    }
    context["accessReasonContext"] = match &call.reason {
        AccessReason::Missing => Value::Null,
        reason => json!({ "reason": reason.as_str() }),
    };
    let plain = json!({
        name: STANDARD_NO_PAD.encode(&call.payload),
        "additionalAuthenticatedData": STANDARD_NO_PAD.encode(&call.associated_data),
        "additionalContext": context,
    });
    let plain = plain.to_string();
    assert_eq!(CryptoCall::parse(plain.as_bytes(), payload).as_ref(), Ok(call), "{plain}");
}
