"""Completions that models might write, right, wrong, cut and oddly formed, for harness-parity.py.

Every completion is drawn from a generator seeded by task and number, so the same ones come out everywhere.
"""

import random
import re

NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million "
    "billion trillion and & , for"
).split()

# Characters on which Python's and other engines' ideas of white space, words and case part ways.
ODD = ["\u00a0", "\u2003", "\x1c", "\x85", "\u200b", "\u0130", "\u00df", "\u0301", "\u00b2", "\u2212", "\u2019",
       "\uff11", "\u0663", "\x00", "\r\n", "\t", "\ufeff", "\U0001f600", "_", "*", "\\", '"', "`"]

GSM_FORMS = [
    "#### {x}", "#### {x}.", "####{x}", "#### ${x}", "#### {x} dollars", "#### {x}\n#### {y}", "#### {y}\n#### {x}",
    "So it is {x}.\n#### {x}", "The answer is {x}.", "The answer is {x}", "The answer is {x}\n", "The answer is {x}!",
    "The answer is ${x}.", "the answer is {x}.", "The answer is {x}. The answer is {y}.",
    "The answer is {y}. Wait. The answer is {x}.", "The answer is **{x}**.", "The answer is \\boxed{{{x}}}.",
    "The answer is {x}%.", "The answer is {x}/2.", "The answer is {x} apples...", "{x}", "{x}.", "{x},", "${x}", "-${x}",
    "It costs {x}$", "That makes {x} in all, or so.", "{y} + {x} = {z}", "{x} is the answer, not {y}", "{x}...", "...",
    "$", "$.", "Answer: {x}\n\n", "The answer is: {x}.", "The final answer is {x}.", "= {x}\nThe answer is {x} .",
    "Therefore, {x} <<{x}={x}>>.", "The answer is\n{x}.", "The answer is {x}.\n\nQ: next? A: {y}",
    "#### {x}\n\nQuestion: another\nAnswer: #### {y}", "The answer is {x}.</s>{y}", "The answer is {x}<|im_end|>{y}",
    "", " ", "\n", "I do not know.", "The answer is twelve.", "The answer is .", "The answer is ,.", "#### .", "#### -",
]


def numerals(value, rng):
    """Ways of writing a whole number, some right and some not."""
    plain = value.replace(",", "")
    try:
        number = int(plain)
    except ValueError:
        return plain
    return rng.choice([
        plain, plain, plain, plain, f"{number:,}", plain + ".00", plain + ".0", plain + ".", "+" + plain,
        "-" + plain, f"- {plain}", str(number + rng.choice([-1, 1, 10, -10])), plain[:-1] or plain, plain + "0",
        "0" + plain, plain.translate({48 + d: 0xFF10 + d for d in range(10)}), f"{number:.1e}", f"({plain})", plain + "%",
    ])


def odd(text, rng):
    """Sprinkles odd characters, cuts, doubles or re-cases some of the texts."""
    if rng.random() < 0.12:
        for _ in range(rng.randint(1, 3)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(ODD) + text[at:]
    if rng.random() < 0.1:
        text = text[: rng.randint(0, len(text))]
    if rng.random() < 0.05:
        text = rng.choice([text.upper(), text.lower(), text.title()])
    if rng.random() < 0.3:
        text = rng.choice([" ", "\n", "\n\n", "  "]) + text
    if rng.random() < 0.2:
        text += rng.choice([" ", "\n", ".", "!", "\n\n", "\0", " \n."])
    return text


def gsm(doc, rng):
    answer = doc["answer"]
    gold = answer.split("####")[-1].strip()
    draw = rng.random()
    if draw < 0.15:
        text = answer
    elif draw < 0.3:
        reasoning = re.sub(r"<<[^>]*>>", "", answer.split("####")[0])
        text = reasoning + rng.choice(GSM_FORMS).format(x=gold, y=numerals(gold, rng), z=numerals(gold, rng))
    else:
        x, y, z = (numerals(gold, rng) for _ in range(3))
        text = rng.choice(GSM_FORMS).format(x=x, y=y, z=z)
        if rng.random() < 0.3:
            text += rng.choice(GSM_FORMS).format(x=y, y=z, z=x)
    return odd(text, rng)


def humaneval(doc, rng):
    solution = doc["canonical_solution"]
    draw = rng.random()
    if draw < 0.35:
        text = solution
    elif draw < 0.5:
        text = "    pass\n"
    elif draw < 0.6:
        text = solution[: rng.randint(0, len(solution))]
    elif draw < 0.7:
        text = solution.replace("+", "-").replace("<", ">=")
    elif draw < 0.8:
        text = "    return " + rng.choice(["None", "0", "[]", "''", "True", "1/0"]) + "\n"
    else:
        text = "    raise " + rng.choice(["SystemExit(0)", "KeyboardInterrupt", "ValueError('x')"]) + "\n"
    tail = rng.choice([
        "", "", "\n```", "```\nThis works because ...", "\n```\n```python\nfail(\n```", "\ndef other():\n    pass\n",
        "\nclass A:\n    pass", "\n# done\n)", "\nif __name__ == '__main__':\n    1/0", "\nprint(1", "\n\n\n", "``",
        "\n#", "\n  # a comment\n", "\nassert True\n", "\nreturn",
    ])
    return text + tail


BBH_FORMS = [
    "{x}", "{x}.", " {x}", "So the answer is {x}.", "So the answer is {x}", "So the answer is {x}.\n", "the answer is {x}.",
    "The answer is {x}.", "The answer is {x}", "The answer: {x}.", "The final answer: {x}.", "The final answer is {x}.",
    "Answer: {x}", "Answer:\n{x}", "The answer is {y}. No, the answer is {x}.", "the answer is {x}.\nthe answer is {y}.",
    "It cannot be {y}, so it is {x}.", "{x} or {y}", "{y} {x}", "\"{x}\"", "**{x}**", "\\boxed{{{x}}}", "`{x}`", "{x},",
    "not {x}", "The answer is (\n{x})", "the answer is \n{x}.", "THE ANSWER IS {x}.", "{x}\n\n{y}", "{x} Q: {y}", "{x}</s>{y}",
    "{x}<|im_end|>{y}", "Quite so: {x}", "", " ", "\n", ".", "I do not know", ": {x}", "the answer is the answer is {x}.",
]


def bbh(doc, rng, subtask, targets):
    gold = doc["target"]
    choices = re.findall(r"\(([A-Z])\)([^\n^(]*)", doc["input"])

    def reading():
        target = gold if rng.random() < 0.5 else rng.choice(targets)
        draw = rng.random()
        if subtask in ("object_counting", "multistep_arithmetic_two"):
            if draw < 0.35:
                return rng.choice([" ", " ", "-", ""]).join(rng.choice(NUMBER_WORDS) for _ in range(rng.randint(1, 5)))
            return numerals(target, rng) if draw < 0.6 else target
        if subtask == "word_sorting":
            words = target.split()
            if draw < 0.2:
                rng.shuffle(words)
            elif draw < 0.4:
                words += rng.sample(words, min(2, len(words)))
            elif draw < 0.5:
                words = words[1:]
            return rng.choice([" ", " ", ", ", "\n", "-", ""]).join(words)
        if subtask == "dyck_languages":
            return rng.choice([target, target, target.replace(" ", ""), " ".join(target), target[::-1], target[:-1]])
        if subtask in ("sports_understanding", "web_of_lies", "causal_judgement", "navigate", "boolean_expressions",
                       "formal_fallacies") and draw < 0.5:
            return rng.choice([
                "yes", "no", "Yes", "No", "YES", "not plausible", "plausible", "implausible", "tells the truth",
                "does not tell the truth", "is not telling the truth", "is telling the truth", "knows", "True", "False",
                "true", "invalid", "valid", "deductively valid", "not valid", "Nope", "yes\u00b2", "no\u0301", "_no_",
            ])
        if choices and draw < 0.5:
            letter, text = rng.choice(choices)
            text = text.strip()
            return rng.choice([
                letter, f"({letter})", f"{letter})", f"({letter}) {text}", text, text.lower(), text.upper(), f": {letter}",
                text[: rng.randint(0, len(text))], text.replace(" ", "-"), f"({letter.lower()})", text + "!", f"\uff08{letter}\uff09",
                ", ".join(t.strip() for _, t in choices), f"({letter}", f"({letter}).", f":{letter}{text}",
            ])
        return target

    if rng.random() < 0.35:
        # What a model that has learned the form writes; the rules are strict, so that little else is right.
        form = rng.choice(["{x}", "So the answer is {x}.", "Step 1. So the answer is {x}.\n", "The answer is {x}.",
                           "The final answer: {x}.", "the answer is {x}!", "It is so. the answer is {x}.\nBye."])
        return form.format(x=gold if rng.random() < 0.7 else reading())
    text = rng.choice(BBH_FORMS).format(x=reading(), y=reading())
    if rng.random() < 0.2:
        text = "Let us see. " + rng.choice(["First, 3 things.", "We look at each.", "(A) is wrong.", "No doubt."]) + " " + text
    return odd(text, rng)


def completion(task, number, doc, targets):
    """Completion `number` of `task`: a text for `doc`."""
    rng = random.Random(f"{task}/{number}")
    if task.startswith("gsm8k"):
        return gsm(doc, rng)
    if task.startswith("humaneval"):
        return humaneval(doc, rng)
    subtask = re.sub(r"^bbh_(cot_fewshot|cot_zeroshot|zeroshot)_", "", task)
    return bbh(doc, rng, subtask, targets)
