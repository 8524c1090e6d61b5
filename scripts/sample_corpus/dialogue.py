"""The flow of a conversation: who says which kind of line when.

``OTHER`` opens every exchange; ``SELF`` replies and is the one whose persona is given. What one of them says
in a row is one utterance.
"""

from __future__ import annotations

from dataclasses import dataclass

from .grammar import Draw, Fact, Topic

__all__ = ["Dialogue", "write_dialogue"]

OTHER, SELF = "other", "self"
MIN_EXCHANGES, MAX_EXCHANGES = 5, 8


@dataclass(frozen=True)
class Dialogue:
    """Persona lines of the speaker who replies, and pairs (context, reply)."""

    persona: tuple[str, ...]
    exchanges: tuple[tuple[str, str], ...]

    def to_parlai(self) -> str:
        """ParlAI text as in ConvAI2: numbered lines, persona first, then ``context<TAB>reply``."""
        lines = [f"your persona: {line}" for line in self.persona]
        lines += [f"{context}\t{reply}" for context, reply in self.exchanges]
        return "".join(f"{number} {line}\n" for number, line in enumerate(lines, start=1))


def write_dialogue(draw: Draw, topics: list[Topic], common: Topic) -> Dialogue:
    """One dialogue of 3 to 5 persona lines and 5 to 8 exchanges."""
    while True:
        conversation = _Conversation(draw, topics, common)
        dialogue = conversation.hold(draw.between(MIN_EXCHANGES, MAX_EXCHANGES))
        if MIN_EXCHANGES <= len(dialogue.exchanges) <= MAX_EXCHANGES:
            return dialogue


class _Conversation:
    """Two speakers, what each has to tell, and what was said so far."""

    def __init__(self, draw: Draw, topics: list[Topic], common: Topic) -> None:
        self.draw = draw
        self.common = common
        self.name, self.other_name = draw.some(common.templates["names"], 2)
        self.named = draw.chance(0.3)
        self.said: set[str] = set()  # templates used, by either
        chosen = draw.some(topics, 16)
        number = draw.between(3, 5) - self.named
        self.facts = {topic.name: Fact(topic, draw, self.said) for topic in chosen[:number]}  # of SELF
        persona = [fact.persona() for fact in self.facts.values()]
        if self.named:
            persona.append(f"my name is {self.name} .")
        self.persona = tuple(draw.some(persona, len(persona)))
        self.open_topics = list(chosen)  # not yet talked about
        self.utterances: list[tuple[str, list[str]]] = []
        self.answered: Fact | None = None  # what SELF told last, OTHER may remark on it

    def hold(self, exchanges: int) -> Dialogue:
        """Greet, talk about one topic after the other, part or just stop."""
        farewell = self.draw.chance(0.6)
        self.greet()
        while len(self.utterances) // 2 < exchanges - farewell:
            self.talk()
        if farewell:
            self.part()
        texts = [" ".join(sentences) for _, sentences in self.utterances]
        return Dialogue(self.persona, tuple(zip(texts[::2], texts[1::2])))

    # Stretches of the conversation. Each begins after a line of SELF and ends with one.

    def greet(self) -> None:
        """Names, or how are you, or what are you doing."""
        if self.draw.chance(0.7 if self.named else 0.1):
            section, answer = ("introduce", "named") if self.named else ("present", "unnamed")
            self.say(OTHER, self.phrase(section).format(name=self.other_name))
            self.say(SELF, self.phrase(answer).format(name=self.name, other=self.other_name))
            return
        facts = [fact for fact in self.facts.values() if fact.can_say("now")]
        if self.draw.chance(0.3):
            self.say(OTHER, self.phrase("doing"))
            if not facts or self.draw.chance(0.2):
                self.say(SELF, self.phrase("idle"))
                return
        else:
            self.say(OTHER, self.phrase("hello"))
            self.say(SELF, self.phrase("fine"))
            if not facts or self.draw.chance(0.6):
                if self.draw.chance(0.5):
                    self.say(SELF, self.phrase("you"))
                    self.say(OTHER, self.phrase("well"))
                return
        fact = self.draw.one(facts)
        self.open_topics.remove(fact.topic)
        self.say(SELF, fact.say("now", owner_speaks=True))
        self.follow_up(fact, 0.5)

    def talk(self) -> None:
        """One topic, brought up by either speaker."""
        own = [topic for topic in self.open_topics if topic.name in self.facts]
        foreign = [topic for topic in self.open_topics if topic.name not in self.facts]
        if own and self.draw.chance(0.55):
            self.other_asks(self.draw.one(own))
        elif self.draw.chance(0.25):
            self.other_asks(self.draw.one(foreign))
        elif self.draw.chance(0.5):
            self.other_tells(self.draw.one(foreign))
        else:
            self.self_asks(self.draw.one(self.open_topics))

    def part(self) -> None:
        """A farewell, if it can be one that fits what SELF told."""
        self.remark()
        told = [
            fact for fact in self.facts.values() if fact.topic not in self.open_topics and fact.can_say("bye")
        ]
        if told and self.draw.chance(0.6):
            goodbye, answer = self.draw.one(told).ask("bye")
        else:
            goodbye, _, answer = self.phrase("bye").partition(" => ")
        self.say(OTHER, goodbye)
        self.say(SELF, answer)

    def other_asks(self, topic: Topic) -> None:
        """OTHER asks; SELF answers out of the persona, or has nothing to tell."""
        self.open_topics.remove(topic)
        fact = self.facts.get(topic.name)
        self.connect("link", 0.2 if self.remark() else 0.4)
        self.question(OTHER, fact or Fact(topic, self.draw, self.said), SELF, has_answer=fact is not None)
        if fact is not None:
            self.follow_up(fact, 0.4)
        if self.draw.chance(0.5 if fact is None else 0.25):
            self.say(SELF, self.phrase("back"))
            fact = self.other_fact(topic)
            if self.draw.chance(0.8):
                self.say(OTHER, fact.say("tell", owner_speaks=True))
                self.respond(fact)
            else:
                self.say(OTHER, fact.say("none", owner_speaks=True))
                self.say(SELF, self.phrase("ack"))

    def other_tells(self, topic: Topic) -> None:
        """OTHER brings up something of their own."""
        self.open_topics.remove(topic)
        fact = self.other_fact(topic)
        self.connect("start", 0.7 if self.remark() else 0.4)
        self.tell(OTHER, fact)
        self.respond(fact)

    def self_asks(self, topic: Topic) -> None:
        """SELF asks in the same breath as the last reply."""
        self.open_topics.remove(topic)
        fact = self.other_fact(topic)
        self.answered = None
        if self.question(SELF, fact, OTHER, has_answer=self.draw.chance(0.8)):
            self.respond(fact)
        elif not self.share(topic):
            self.say(SELF, self.phrase("ack"))

    # Parts of these stretches.

    def question(self, asker: str, fact: Fact, answerer: str, *, has_answer: bool) -> bool:
        """A question on the fact's topic and its answer; returns whether there was something to tell."""
        closed = self.draw.chance(0.5)
        self.say(asker, fact.say("yesno" if closed else "what", owner_speaks=False))
        prefix = self.phrase("yes" if has_answer else "no") if closed and self.draw.chance(0.8) else ""
        if has_answer:
            self.tell(answerer, fact, prefix)
        else:
            self.say(answerer, prefix, fact.say("none", owner_speaks=True))
        return has_answer

    def tell(self, speaker: str, fact: Fact, prefix: str = "") -> None:
        """The owner states the fact, with or without a detail."""
        self.say(speaker, prefix, fact.say("tell", owner_speaks=True))
        if self.draw.chance(0.4):
            self.say(speaker, fact.say("more", owner_speaks=True))
        self.answered = fact if speaker == SELF else None

    def follow_up(self, fact: Fact, probability: float) -> None:
        """OTHER may ask more about SELF's fact."""
        self.answered = fact
        if self.draw.chance(probability) and fact.can_say("probe"):
            question, answer = fact.ask()  # before the remark, which must not give the answer away
            self.remark(0.4)
            self.say(OTHER, question)
            self.say(SELF, answer)
            self.answered = fact

    def respond(self, fact: Fact) -> None:
        """SELF reacts to OTHER's fact: by what goes with it, dully, with an own fact, or by asking more."""
        self.answered = None
        if self.share(fact.topic):
            return
        if self.draw.chance(0.35) and fact.can_say("probe"):
            question, answer = fact.ask()
            if self.draw.chance(0.5):
                self.say(SELF, self.dull(fact))
            self.say(SELF, question)
            self.say(OTHER, answer)
        self.react(SELF, fact)

    def react(self, speaker: str, fact: Fact) -> None:
        """A comment on the other's fact."""
        if self.draw.chance(0.65) and fact.can_say("react"):
            self.say(speaker, fact.say("react", owner_speaks=False))
        else:
            self.say(speaker, self.dull(fact))

    def share(self, topic: Topic) -> bool:
        """SELF tells the own fact on the topic, if there is one that was not told."""
        fact = self.facts.get(topic.name)
        if fact is None or fact.told or not self.draw.chance(0.7):
            return False
        self.say(SELF, self.phrase("same"), fact.say("tell", owner_speaks=True))
        self.answered = fact
        return True

    def remark(self, probability: float = 0.6) -> bool:
        """OTHER may comment on what SELF told last; returns whether that was done."""
        fact, self.answered = self.answered, None
        if fact is None or not self.draw.chance(probability):
            return False
        self.react(OTHER, fact)
        return True

    def connect(self, section: str, probability: float) -> None:
        """OTHER may announce a new topic with a few words."""
        if self.draw.chance(probability):
            self.say(OTHER, self.phrase(section))

    def other_fact(self, topic: Topic) -> Fact:
        """A fact of OTHER, not the one that SELF has."""
        own = self.facts.get(topic.name)
        while True:
            fact = Fact(topic, self.draw, self.said)
            if own is None or not fact.same_row(own):
                return fact

    def dull(self, fact: Fact) -> str:
        """A reply that fits anything on the topic."""
        return self.draw.zipf(fact.topic.templates.get("dull", self.common.templates["dull"]))

    def phrase(self, section: str) -> str:
        """A line that belongs to no topic, a new one while there is one."""
        lines = self.common.templates[section]
        line = self.draw.zipf([line for line in lines if line not in self.said] or lines)
        self.said.add(line)
        return line

    def say(self, speaker: str, *sentences: str) -> None:
        """Add to the speaker's utterance."""
        if not self.utterances or self.utterances[-1][0] != speaker:
            self.utterances.append((speaker, []))
        self.utterances[-1][1].extend(sentence for sentence in sentences if sentence)
