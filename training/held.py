"""The phrasings that are only tested, never trained on; the same kinds and braces as in `templates.py`."""

TAILS = ["", "", " in the drawing", " in this image", " on the screen", " in front of me", " on it"]
OPENERS = ["kindly ", "ok, ", "could you say ", "hello, ", "let me ask: ", "one more thing: "]
CLOSERS = [", please", " thx", ", can you say"]

PHRASINGS = {
    "what one": """what might this be
what do we see{in}
identify [this/the object]
what object is [this/shown]
what has been drawn""",
    "what at": """what object is {p}
what do we have {p}
what is placed {p}
tell me what is {p}""",
    "what shape": """what kind of shape is the {t}
what form does the {t} have
tell me the shape of the {t}""",
    "what group": """what sort of {g} is [this/shown]
which {g} is shown{in}
tell me which {g} this is""",
    "list": """what are all the objects{in}
which things does the picture contain
give me a list of the things
enumerate what you see
what objects can be seen""",
    "colour": """tell me the [colour/color] of the {t}
how is the {t} coloured
what would you call the [colour/color] of the {t}
say which [colour/color] the {t} has""",
    "count": """tell me how many {ts} there are
how many {ts} can be seen{in}
what's the count of {ts}
how many {ts} did you find
please count every one of the {ts}""",
    "exists": """would you say there is {a}
does this image contain [{a}/any {ts}]
is {a} visible
could there be {a}{in}
is {a} to be seen""",
    "where": """whereabouts is the {t}
can you locate the {t}
locate the {t}
which part of the picture has the {t}
where has the {t} been put""",
    "beside": """what object is {d} the {t}
what would i find {d} the {t}
what has been put {d} the {t}
tell me what is {d} the {t}""",
    "beside yes": """would you say the {u} is {d} the {t}
does the {u} stand {d} the {t}
is it true that the {u} is {d} the {t}""",
    "next": """what is beside the {t}
which object is nearest to the {t}
what do you find next to the {t}""",
    "size two": """between the {t} and the {u}, which is {l}
tell me which is {l}, the {t} or the {u}
compare the {t} and the {u}: which is {l}""",
    "size yes": """would you say the {t} is {l} than the {u}
is it true that the {t} is {l} than the {u}""",
    "size most": """which object is the {s}
tell me the {s} thing
what object is the {s} of all""",
    "read": """what is the text on the card
can you read what the card says
what did someone write on the card""",
    "read number": """tell me the number on the card
which number can you read""",
    "read word": """tell me the word on the card
which word can you read""",
    "same colour": """do the {t} and the {u} share a [colour/color]
is the [colour/color] of the {t} and the {u} the same""",
    "further": """tell me which is further {d}, the {t} or the {u}
compare the {t} and the {u}: which is further {d}""",
    "more": """would you say there are more {ts} than {us}
is the number of {ts} larger than that of {us}""",
    "describe": """summarise the picture
how would you describe this
put the picture into words
give a short description of the image""",
    "unknown": """which artist made this
in what year was this made
how many friends does the {t} have
what is the price of the {t}
what did the {t} eat
who is the owner of the {t}
does the {t} like music
what is the {t} dreaming of
in which country is this""",
    "it colour": """tell me its [colour/color]
and the [colour/color] of it""",
    "it where": """whereabouts is it
and where do you see it""",
    "it beside": """and what can you find {d} it
tell me what is {d} it""",
    "and the": """now the {t}
the same for the {t}""",
    "and how many": """and what about {ts}
now {ts}""",
}
