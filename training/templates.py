"""The words of the questions: for each kind the phrasings that are trained on; `held.py` has those that are only tested.

{t} and {u} things ("red circle", "apple"), {a} a thing with its article, {ts} and {us} several, {p} a place ("at the top
left"), {g} a group ("animal"), {c} a colour, {d} a direction ("left of", "above"), {s} and {l} smaller/bigger words,
{in} a tail such as " in the picture" or nothing. All in lower case without a question mark: `questions.py` dresses them.
One line is one phrasing, or several where it has choices. Nothing in HELD may be in TRAIN (`python templates.py` checks
it and counts).
"""

import itertools

import held

TAILS = ["", "", " in the picture", " in this picture", " in the image", " here", " in this scene", " in the photo",
         " on this screen", " in front of you", " in this drawing", " on the picture"]
OPENERS = ["please ", "pls ", "hey, ", "can you tell me ", "tell me, ", "so, ", "hi! ", "quick question: ", "i want to know: ", "now ",
           "ok so, ", "could you tell me ", "hello! ", "let me know: ", "may i ask: "]
CLOSERS = [" please", " pls", " thanks", ", do you know", " exactly", ", ok", ", could you say"]


def phrasings(text):
    """Lines with choices "[a/b]" -> every phrasing."""
    out = []
    for line in text.strip().split("\n"):
        parts = [p.split("/") for p in line.replace("]", "[").split("[")]
        out += ["".join(choice) for choice in itertools.product(*parts)]
    return out


# In a line, [a/b/c] is a choice.
TRAIN = {
    "what one": """what is [this/that/it/shown]{in}
what's [this/that/in the picture]
what is [in the picture/in this image/on the table/in the photo]
what can you see{in}
what do you [see/recognise]{in}
[which/what] thing is [this/shown/in the picture]
name [this/the thing/it]
what am i looking at
do you know what this is
which object do you see here
what do you identify{in}
what could this be
what was drawn here""",
    "what at": """what is {p}{in}
what's {p}
what can you see {p}
what is there {p}
[which/what] thing is {p}{in}
what do you see {p}
what stands {p}
what was put {p}
name the object {p}
tell me the thing {p}
what has someone placed {p}""",
    "what shape": """[what/which] shape is the {t}
what is the shape of the {t}
what shape does the {t} have
the {t} has [what/which] shape
name the shape of the {t}
what form has the {t}
say what shape the {t} has
what kind of form is the {t}""",
    "what group": """[what/which] {g} is [this/that/there/in the picture/it]
[what/which] {g} can you see{in}
what kind of {g} is [this/there/that]
which {g} do you see{in}
name the {g}
what sort of {g} can you see
tell me what {g} it is
what {g} is shown here""",
    "list": """what [is/things are/objects are] there{in}
what are the things{in}
[which/what] things [are there/can you see/do you see/are shown]{in}
what [all/else] is there{in}
list [the/all/all the] things{in}
list everything{in}
what can you see from left to right
name [everything/all things] you see{in}
what do we have here
tell me everything that is there
which objects are [there/shown]{in}
which objects can you see{in}
enumerate the things{in}
what things can be seen{in}
can you give a list of all you see
what does the picture contain""",
    "colour": """[what/which] [colour/color] is the {t}{in}
what is the [colour/color] of the {t}{in}
the {t} is [what/which] [colour/color]
[what/which] [colour/color] does the {t} have
name the [colour/color] of the {t}
the [colour/color] of the {t}
what [colour/color] has the {t}
in [what/which] [colour/color] is the {t}
what would you say the [colour/color] of the {t} is
tell me which [colour/color] the {t} is
how is it coloured, the {t}
what do you call the [colour/color] of the {t}""",
    "count": """how many {ts} [are there/are/can you see/do you see/are shown]{in}
how many {ts}{in}
count the {ts}{in}
what is the number of {ts}{in}
how many {ts} does the picture [show/have]
the number of {ts}{in}
how many {ts} do you count{in}
number of {ts}
count all [the /]{ts}{in}
how many {ts} have you found
how many {ts} do you find{in}
can you count the {ts}
tell me the number of {ts}{in}
how many {ts} did you see{in}
what number of {ts} can be counted{in}
count every one: how many {ts}""",
    "exists": """is there {a}{in}
is there {a} [anywhere/somewhere]
can you see {a}{in}
do you see [{a}/any {ts}]{in}
does the picture [show/have/contain] {a}
is {a} [in the picture/there/here]
are there [any {ts}/{ts}]{in}
do you see {a} anywhere
any {ts}{in}
has the picture {a}
is there any {t}{in}
can you find {a}{in}
can {a} be seen{in}
is there {a} to see
would i find {a} here
are {ts} visible{in}
could you say whether there is {a}
does it contain {a}""",
    "where": """where is the {t}{in}
where's the {t}{in}
where can i find the {t}{in}
where do you see the {t}
in [which/what] part of the [picture/image] is the {t}
what is the [position/place] of the {t}
tell me where the {t} is
where does the {t} stand
on which side is the {t}
find the {t}
what are the whereabouts of the {t}
please locate one thing, the {t}
where was the {t} put{in}
where has someone placed the {t}
can you say where the {t} is
which part of the image is the {t} in""",
    "beside": """what is {d} the {t}{in}
what's {d} the {t}
[which/what] thing is {d} the {t}{in}
what can you see {d} the {t}
what do you see {d} the {t}
what [stands/lies] {d} the {t}
{d} the {t} is what
name the thing {d} the {t}
what is there {d} the {t}
which object is {d} the {t}
what could i see {d} the {t}
what was put {d} the {t}
tell me the thing {d} the {t}
what has someone placed {d} the {t}""",
    "beside yes": """is the {u} {d} the {t}
is the {u} {d} the {t} or not
can you see the {u} {d} the {t}
do you see the {u} {d} the {t}
the {u} is {d} the {t}, right
true or not: the {u} is {d} the {t}
would it be right that the {u} is {d} the {t}
does the {u} lie {d} the {t}
do you say that the {u} is {d} the {t}""",
    "next": """what is next to the {t}{in}
what's next to the {t}
[which/what] thing is [next/nearest/closest] to the {t}
what is [nearest/closest] to the {t}{in}
what stands next to the {t}
what is the neighbour of the {t}
name the thing next to the {t}
what stands beside the {t}
which thing do you see beside the {t}
which object is next to the {t}
what can you find closest to the {t}""",
    "size two": """which is {l}, the {t} or the {u}
what is {l}, the {t} or the {u}
which one is {l}, the {t} or the {u}
which of them is {l}: the {t} or the {u}
is the {t} {l} or the {u}
{l}: the {t} or the {u}
of the {t} and the {u}, which is {l}
compare the {t} with the {u}: what is {l}
between {t} and {u}, what is {l}
would you say the {t} or the {u} is {l}
tell me what is {l}, the {t} or the {u}""",
    "size yes": """is the {t} {l} than the {u}
is the {t} {l} than the {u} or not
do you think the {t} is {l} than the {u}
the {t} is {l} than the {u}, right
true or not: the {t} is {l} than the {u}
would the {t} be {l} than the {u}
do you say that the {t} is {l} than the {u}""",
    "size most": """[what/which thing] is the {s} thing{in}
what is the {s}{in}
which thing is the {s}{in}
which is the {s} thing{in}
name the {s} thing{in}
what is the {s} one{in}
find the {s} thing{in}
name the {s} object
the {s} object is which
tell me which thing is the {s}
of all things, which is the {s}""",
    "read": """what does the card say
what is [written/printed] on the card
what [is/stands] on the card
read the card[/ to me]
what can you read[/ on the card]
what does it say on the card
what's on the card
what text is on the card
the card says what
what did they write on the card
what has someone written on the card
tell me what the card says""",
    "read number": """[what/which] [number/digit] is on the card
[what/which] [number/digit] does the card [show/have]
read the number
what is the number on the card""",
    "read word": """[what/which] word is on the card
[what/which] word does the card [show/have]
read the word
what is the word on the card""",
    "same colour": """are the {t} and the {u} the same [colour/color]
do the {t} and the {u} have the same [colour/color]
is the {t} the same [colour/color] as the {u}
have the {t} and the {u} one [colour/color]
are the {t} and the {u} of the same [colour/color]
is one [colour/color] shared by the {t} and the {u}
do they share the [colour/color], the {t} and the {u}""",
    "further": """which is further {d}, the {t} or the {u}
what is further {d}, the {t} or the {u}
which one is further {d}: the {t} or the {u}
is the {t} further {d} or the {u}
compare the {t} with the {u}: what is further {d}
would you say the {t} or the {u} is further {d}
tell me what is further {d}, the {t} or the {u}""",
    "more": """are there more {ts} than {us}{in}
do you see more {ts} than {us}
can you see more {ts} than {us}
does the picture have more {ts} than {us}
is the number of {ts} bigger than the number of {us}
would there be more {ts} than {us}
are the {ts} larger in number than the {us}
do you say that there are more {ts} than {us}""",
    "describe": """describe the [picture/image/scene/photo]
describe [this/it/this picture] in a sentence
describe the picture in [one/a] sentence
what does the [picture/image] show
tell me about the [picture/image]
give me a description
caption this
write a caption[/ for this picture]
what is this a picture of
say what the picture shows
summarise this[/ in a sentence]
say in words what you see
a short description
give a summary of the picture
how can this picture be described
what would you put into a description""",
    "unknown": """who [painted/made/drew/took/built] [this/it/the picture/that]
when was [this/it/the picture] [made/painted/taken/drawn]
why is the {t} [here/there]
why was this [painted/made]
how much does the {t} [cost/weigh]
how old is the {t}
who owns the {t}
what is the name of the {t}
what is the {t} called by its friends
where was [this/the picture] [taken/made]
what will happen next
what happened before
what is behind the {t}
what is inside the {t}
is the {t} [expensive/happy/tired/real/heavy]
what time is it
what day is it
who lives here
what does the {t} think
how does the {t} smell
what is the weather [tomorrow/like]
does the {t} belong to you
how much money is this worth
what is my name
which artist painted it
what did the {t} do yesterday
what is the dream of the {t}
is the {t} dreaming
what music does the {t} like
in which year was it painted
what price has the {t}
who was the owner of this
what does the {t} eat
does the {t} have friends
which country is this from""",
    "it colour": """and what [colour/color] is it
what [colour/color] is it
which [colour/color] is it
and its [colour/color]
and which [colour/color] does it have
its [colour/color]
tell me which [colour/color] it is
what is the [colour/color] of it""",
    "it where": """and where is it
where is it
where is it{in}
and where
in which part of the picture is it
and where can i find it
what are its whereabouts
and where can it be seen""",
    "it beside": """and what is {d} it
what is {d} it
what's {d} it
and what do you see {d} it
and which thing is {d} it
tell me the thing {d} it""",
    "and the": """and the {t}
what about the {t}
and what about the {t}
how about the {t}
and for the {t}
and now for the {t}
the same question for the {t}""",
    "and how many": """and how many {ts}
and how many {ts} are there
what about {ts}
and {ts}
and the {ts}
and now the {ts}
what number of {ts}""",
}

TRAIN, HELD = ({kind: phrasings(text) for kind, text in table.items()} for table in (TRAIN, held.PHRASINGS))

if __name__ == "__main__":
    both = {t for kind in TRAIN for t in TRAIN[kind]} & {t for kind in HELD for t in HELD[kind]}
    assert TRAIN.keys() == HELD.keys() and not both, both
    print(sum(map(len, TRAIN.values())), "phrasings to train on,", sum(map(len, HELD.values())), "others to test with")
