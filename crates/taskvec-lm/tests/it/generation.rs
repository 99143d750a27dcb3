//! What is generated does not depend on how: cache, batches, padding, order and threads.

use burn::tensor::{Device, Int, Tensor, TensorData};
use taskvec_eval::generator::{
    Completion, Finish, GenerateRequest, Generator, LikelihoodRequest, Message, Prompt, Sampling,
};
use taskvec_lm::Error;
use taskvec_lm::decoder::{Decoder, RotaryTable};
use taskvec_lm::generate::{LocalGenerator, TokenOptions, generate_tokens};
use taskvec_lm::model::Model;
use taskvec_lm::train::parallel::Workers;

use crate::random_model;

/// Every seventh token ends a sequence, so that batches shrink while they run.
fn end_tokens() -> Vec<u32> {
    (3..296).step_by(17).collect()
}

fn model() -> Model {
    random_model::model(2048, &end_tokens())
}

fn requests(sampling: Sampling) -> Vec<GenerateRequest> {
    let words = "Anna has 3 apples. naïve 答え? ";
    (0..23usize)
        .map(|index| {
            let text: String = words
                .chars()
                .cycle()
                .skip(index)
                .take(1 + index * 5 % 47)
                .collect();
            GenerateRequest {
                prompt: Prompt::Text(text),
                max_new_tokens: 4 + index % 3 * 11,
                stop: vec!["zz".to_owned()],
                sampling: Sampling {
                    seed: index as u64,
                    ..sampling
                },
            }
        })
        .collect()
}

fn complete(generator: LocalGenerator, requests: &[GenerateRequest]) -> Vec<Completion> {
    let mut seen = vec![0; requests.len()];
    let completions = generator
        .complete(requests, &mut |index, _| seen[index] += 1)
        .unwrap();
    assert!(seen.iter().all(|count| *count == 1), "{seen:?}");
    completions
}

/// Logits of every position, without cache or batch.
fn logits(decoder: &Decoder, tokens: &[u32]) -> Vec<Vec<f32>> {
    let config = &decoder.config;
    let values: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
    let tensor: Tensor<2, Int> =
        Tensor::from_data(TensorData::new(values, [1, tokens.len()]), &Device::flex());
    let rotary = RotaryTable::new(tokens.len(), config);
    let hidden = decoder
        .hidden(tensor, &rotary)
        .reshape([tokens.len(), config.hidden_size]);
    let data = decoder
        .logits(hidden)
        .into_data()
        .try_into_vec::<f32>()
        .unwrap();
    data.chunks_exact(config.vocab_size)
        .map(<[f32]>::to_vec)
        .collect()
}

fn best(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best as u32
}

/// Greedy tokens by running the whole sequence anew for each.
fn without_cache(decoder: &Decoder, prompt: &[u32], limit: usize, end_tokens: &[u32]) -> Vec<u32> {
    let mut sequence = prompt.to_vec();
    while sequence.len() < prompt.len() + limit {
        let next = best(logits(decoder, &sequence).last().unwrap());
        sequence.push(next);
        if end_tokens.contains(&next) {
            break;
        }
    }
    sequence.split_off(prompt.len())
}

#[test]
fn greedy_tokens_are_those_of_a_decoder_without_cache() {
    let model = model();
    let prompts: Vec<Vec<u32>> = requests(Sampling::greedy())
        .iter()
        .map(|request| match &request.prompt {
            Prompt::Text(text) => model.tokenizer().encode(text).unwrap(),
            Prompt::Chat(_) => unreachable!(),
        })
        .collect();
    let end_tokens = end_tokens();
    let options = TokenOptions {
        max_new_tokens: 20,
        sampling: Sampling::greedy(),
        stop_tokens: &end_tokens,
        seeds: &vec![0; prompts.len()],
        batch_size: 8,
        max_positions: 2048,
    };
    let workers = Workers::new(2).unwrap();
    let generated = generate_tokens(
        model.decoder(),
        &prompts,
        &options,
        &workers,
        &Device::flex(),
    )
    .unwrap();
    let mut lengths = std::collections::BTreeSet::new();
    for (prompt, generated) in prompts.iter().zip(&generated) {
        assert_eq!(
            generated.tokens,
            without_cache(model.decoder(), prompt, 20, &end_tokens)
        );
        let ended = end_tokens.contains(generated.tokens.last().unwrap());
        assert_eq!(generated.finish == Finish::EndOfSequence, ended);
        let whole = [prompt.as_slice(), &generated.tokens].concat();
        let rows = logits(model.decoder(), &whole);
        for (index, token) in generated.tokens.iter().enumerate() {
            let row = &rows[prompt.len() + index - 1];
            let total: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
            let expected = f64::from(row[*token as usize]) - total.ln();
            assert!((f64::from(generated.log_probabilities[index]) - expected).abs() < 1e-4);
        }
        lengths.insert(generated.tokens.len());
    }
    // The test is about rows that leave at different times.
    assert!(lengths.len() > 3 && lengths.contains(&20), "{lengths:?}");
}

#[test]
fn completions_do_not_depend_on_batches_order_or_threads() {
    for sampling in [
        Sampling::greedy(),
        Sampling {
            top_p: 0.9,
            top_k: Some(40),
            ..Sampling::random(0.9, 0)
        },
    ] {
        let requests = requests(sampling);
        let generator = || LocalGenerator::new(model()).unwrap();
        let expected = complete(generator(), &requests);
        for (batch_size, workers) in [(1, 1), (3, 3), (64, 2)] {
            let generator = generator()
                .with_batch_size(batch_size)
                .with_workers(Workers::new(workers).unwrap());
            assert_eq!(
                complete(generator, &requests),
                expected,
                "batch {batch_size}, {workers} workers"
            );
        }
        let single = generator().with_workers(Workers::single());
        assert_eq!(complete(single, &requests), expected);
        let reversed: Vec<GenerateRequest> = requests.iter().rev().cloned().collect();
        let mut again = complete(generator().with_batch_size(5), &reversed);
        again.reverse();
        assert_eq!(again, expected);
        let alone = complete(generator(), &requests[7..8]);
        assert_eq!(alone[0], expected[7]);
    }
}

#[test]
fn seeds_make_samples() {
    let sample = |seed| {
        let request = GenerateRequest {
            prompt: Prompt::Text("Anna has".to_owned()),
            max_new_tokens: 30,
            stop: Vec::new(),
            sampling: Sampling::random(1.0, seed),
        };
        complete(
            LocalGenerator::new(random_model::model(64, &[])).unwrap(),
            &[request],
        )
        .remove(0)
    };
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1), sample(2));
}

#[test]
fn samples_of_one_prompt_share_its_prefill_and_nothing_else() {
    let request = |text: &str, seed| GenerateRequest {
        prompt: Prompt::Text(text.to_owned()),
        max_new_tokens: 10,
        stop: Vec::new(),
        sampling: Sampling::random(1.0, seed),
    };
    let texts = [
        "Anna has",
        "Ben buys 12 more",
        "Anna has",
        "Anna has",
        "a",
        "Ben buys 12 more",
    ];
    let requests: Vec<GenerateRequest> = (0..)
        .zip(texts)
        .map(|(seed, text)| request(text, seed))
        .collect();
    let together = complete(LocalGenerator::new(model()).unwrap(), &requests);
    for (request, expected) in requests.iter().zip(&together) {
        let alone = complete(
            LocalGenerator::new(model()).unwrap(),
            std::slice::from_ref(request),
        );
        assert_eq!(alone[0], *expected);
    }
    assert_ne!(together[0], together[2]);
}

#[test]
fn a_prompt_longer_than_one_prefill_is_the_same_prompt() {
    let model = model();
    let prompt: Vec<u32> = (0..700).map(|index| index * 31 % 290).collect();
    let short = vec![5u32, 6];
    let options = TokenOptions {
        max_new_tokens: 6,
        sampling: Sampling::greedy(),
        stop_tokens: &[],
        seeds: &[0, 0],
        batch_size: 2,
        max_positions: 2048,
    };
    let prompts = [prompt, short];
    let generated = generate_tokens(
        model.decoder(),
        &prompts,
        &options,
        &Workers::single(),
        &Device::flex(),
    )
    .unwrap();
    for (prompt, generated) in prompts.iter().zip(generated) {
        assert_eq!(
            generated.tokens,
            without_cache(model.decoder(), prompt, 6, &[])
        );
        assert_eq!(generated.finish, Finish::Length);
    }
}

#[test]
fn a_stop_string_is_cut_off_with_what_follows() {
    let generator = LocalGenerator::new(random_model::model(256, &[])).unwrap();
    let mut request = GenerateRequest {
        prompt: Prompt::Text("Ben".to_owned()),
        max_new_tokens: 40,
        stop: Vec::new(),
        sampling: Sampling::greedy(),
    };
    let whole = complete(generator, std::slice::from_ref(&request)).remove(0);
    assert_eq!((whole.finish, whole.token_count), (Finish::Length, 40));
    // From the middle, so that it begins and ends inside tokens; whole characters, as a stop string
    // is text and what is no text has no place in it.
    let characters: Vec<char> = whole.text.chars().collect();
    let stop: String = characters[characters.len() / 3..]
        .windows(3)
        .find(|window| !window.contains(&'\u{fffd}'))
        .unwrap()
        .iter()
        .collect();
    let generator = LocalGenerator::new(random_model::model(256, &[])).unwrap();
    request.stop = vec!["never".to_owned(), stop.clone()];
    let stopped = complete(generator, &[request]).remove(0);
    assert_eq!(stopped.text, whole.text[..whole.text.find(&stop).unwrap()]);
    assert_eq!(stopped.finish, Finish::Stop);
    assert!(stopped.token_count < 40);
}

#[test]
fn a_chat_is_its_rendering() {
    let request = |prompt| GenerateRequest {
        prompt,
        max_new_tokens: 12,
        stop: Vec::new(),
        sampling: Sampling::greedy(),
    };
    let requests = [
        request(Prompt::Chat(vec![Message::user("Hi")])),
        request(Prompt::Text(
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n".to_owned(),
        )),
        request(Prompt::Chat(vec![
            Message::user("Hi"),
            Message::assistant("An"),
        ])),
        request(Prompt::Text(
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nAn".to_owned(),
        )),
    ];
    let completions = complete(LocalGenerator::new(model()).unwrap(), &requests);
    assert_eq!(completions[0], completions[1]);
    assert_eq!(completions[2], completions[3]);
    assert_ne!(completions[0], completions[2]);
}

#[test]
fn likelihoods_are_those_of_the_whole_sequence() {
    let model = model();
    let mut requests = Vec::new();
    for (index, prompt) in ["Anna has 3 apples.", "Naïve", "a b c d e f g "]
        .into_iter()
        .enumerate()
    {
        for continuation in [" yes", " no 答え", "x", " Anna buys 12 more", ""]
            .into_iter()
            .skip(index)
        {
            requests.push(LikelihoodRequest {
                prompt: Prompt::Text(prompt.to_owned()),
                continuation: continuation.to_owned(),
            });
        }
    }
    let mut expected = Vec::new();
    for request in &requests {
        let Prompt::Text(prompt) = &request.prompt else {
            unreachable!()
        };
        let alone = model.tokenizer().encode(prompt).unwrap();
        let whole = model
            .tokenizer()
            .encode(&format!("{prompt}{}", request.continuation))
            .unwrap();
        let from = alone.iter().zip(&whole).take_while(|(a, b)| a == b).count();
        let rows = logits(model.decoder(), &whole);
        let (mut total, mut greedy) = (0.0, true);
        for index in from..whole.len() {
            let row = &rows[index - 1];
            let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
            total += f64::from(row[whole[index] as usize]) - sum.ln();
            greedy &= best(row) == whole[index];
        }
        expected.push((total, greedy, whole.len() - from));
    }
    for batch_size in [1, 2, 64] {
        let mut generator = LocalGenerator::new(model.clone())
            .unwrap()
            .with_batch_size(batch_size);
        let mut seen = 0;
        let scored = generator
            .log_likelihood(&requests, &mut |_, _| seen += 1)
            .unwrap();
        assert_eq!(seen, requests.len());
        for (likelihood, (total, greedy, count)) in scored.iter().zip(&expected) {
            assert!((likelihood.log_probability - total).abs() < 1e-4 * (1.0 + total.abs()));
            assert_eq!(
                (likelihood.is_greedy, likelihood.token_count),
                (*greedy, *count)
            );
        }
    }
}

#[test]
fn the_greedy_continuation_is_told() {
    let model = model();
    let prompt = model.tokenizer().encode("Anna").unwrap();
    let next = best(logits(model.decoder(), &prompt).last().unwrap());
    let text = model.tokenizer().decode(&[next], false);
    let request = |continuation: &str| LikelihoodRequest {
        prompt: Prompt::Text("Anna".to_owned()),
        continuation: continuation.to_owned(),
    };
    // Only where the token's text is tokenized to it again is there something to check.
    assert_eq!(
        model.tokenizer().encode(&format!("Anna{text}")).unwrap(),
        [prompt.as_slice(), &[next]].concat()
    );
    let generator = LocalGenerator::new(model).unwrap();
    let scored = generator
        .score(&[request(&text), request(" 9 unlikely")], &mut |_, _| {})
        .unwrap();
    assert!(scored[0].is_greedy && !scored[1].is_greedy);
}

#[test]
fn limits_are_kept_and_told() {
    let request = |text: &str, max_new_tokens| GenerateRequest {
        prompt: Prompt::Text(text.to_owned()),
        max_new_tokens,
        stop: Vec::new(),
        sampling: Sampling::greedy(),
    };
    let generator = |positions| LocalGenerator::new(random_model::model(positions, &[])).unwrap();
    // The end of the context is the end of the answer, whatever was asked for.
    let completion = complete(generator(10), &[request("1234", usize::MAX)]).remove(0);
    assert_eq!(
        (completion.token_count, completion.finish),
        (6, Finish::Length)
    );
    let nothing = complete(generator(10), &[request("12", 0), request("1", 1)]);
    assert_eq!((nothing[0].token_count, nothing[1].token_count), (0, 1));

    let fails = |positions, requests: &[GenerateRequest]| {
        generator(positions)
            .complete(requests, &mut |_, _| panic!("nothing is generated"))
            .unwrap_err()
    };
    let error = fails(4, &[request("1", 1), request("1234", 1)]);
    assert!(
        matches!(
            error,
            Error::PromptTooLong {
                index: 1,
                tokens: 4,
                limit: 4
            }
        ),
        "{error}"
    );
    let error = fails(4, &[request("", 1)]);
    assert!(matches!(error, Error::EmptyPrompt { index: 0 }), "{error}");
    let error = fails(1 << 28, &[request("1", usize::MAX)]);
    assert!(
        matches!(
            error,
            Error::CacheTooLarge {
                positions: 268_435_456,
                ..
            }
        ),
        "{error}"
    );
    let options = TokenOptions {
        max_new_tokens: 1,
        sampling: Sampling::greedy(),
        stop_tokens: &[],
        seeds: &[0],
        batch_size: 1,
        max_positions: 8,
    };
    let generate = |options: &TokenOptions<'_>, prompts: &[Vec<u32>]| {
        let model = random_model::model(8, &[]);
        generate_tokens(
            model.decoder(),
            prompts,
            options,
            &Workers::single(),
            &Device::flex(),
        )
    };
    let error = generate(&options, &[vec![304]]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TokenOutOfRange {
                token: 304,
                vocab_size: 304
            }
        ),
        "{error}"
    );
    assert!(generate(&options, &[vec![1], vec![2]]).is_err());
    let none = generate(
        &TokenOptions {
            max_new_tokens: 0,
            ..options
        },
        &[vec![1]],
    )
    .unwrap();
    assert!(none[0].tokens.is_empty());
}

#[test]
fn a_chat_for_a_model_without_template_is_refused() {
    let config = random_model::config();
    let mut files = random_model::files(&config, 64, &[]);
    let tokenizer_config = String::from_utf8(files["tokenizer_config.json"].clone()).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&tokenizer_config).unwrap();
    json.as_object_mut().unwrap().remove("chat_template");
    files.insert(
        "tokenizer_config.json".to_owned(),
        json.to_string().into_bytes(),
    );
    let weights = random_model::Weights::random(&config, 1);
    let model = Model::assemble(&weights, files, &Device::flex()).unwrap();
    let request = LikelihoodRequest {
        prompt: Prompt::Chat(vec![Message::user("Hi")]),
        continuation: "x".to_owned(),
    };
    let error = LocalGenerator::new(model)
        .unwrap()
        .score(&[request], &mut |_, _| {})
        .unwrap_err();
    assert!(
        matches!(error, Error::NoChatTemplate { .. }) && error.hint().is_some(),
        "{error}"
    );
}
