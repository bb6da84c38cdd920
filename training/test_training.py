"""`python -m unittest` in this folder: a minute on one core. What training relies on and nothing else would notice."""

import contextlib
import copy
import io
import os
import random
import shutil
import signal
import tempfile
import unittest

import torch
import torch.nn.functional as F

import export
import language
import optimiser
import packed
import people
import run
import targets
import templates
import tokenizer
import tower
import twin
import words
from model import Config, MqtLlava
from questions import COLOUR_NAMES, KINDS, PLACES, View, own_words, questions
from scenes import NAMES, sample_scene


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.manual_seed(1)
        cls.folder = tempfile.TemporaryDirectory()
        tokenizer.build(cls.folder.name)  # checks itself: both forms give the same ids, also word by word
        cls.prompt = tokenizer.Prompt(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_names_colours_and_card_words_are_one_piece_each(self):
        from scenes import ALSO, COLOUR_NAMES, PLURAL, TEXTS
        for word in [*NAMES, *PLURAL.values(), *COLOUR_NAMES, *TEXTS, *(w for also in ALSO.values() for w in also)]:
            self.assertEqual(len(self.prompt.word(word)), 1, word)

    def test_no_phrasing_is_both_learned_and_tested(self):
        learned = {t for some in templates.TRAIN.values() for t in some}
        self.assertFalse(learned & {t for some in templates.HELD.values() for t in some})
        self.assertGreater(len(learned), 300)

    def test_every_kind_is_asked_and_simple_answers_are_right(self):
        rng, kinds = random.Random(3), set()
        for i in range(300):
            scene = sample_scene(rng)
            view = View(scene)
            for kind, turns in questions(scene, 12, rng, held=i % 2 == 0, plain=True):
                kinds.add(kind)
                question, answer = turns[-1]
                if kind == "where":
                    self.assertIn(answer, PLACES.values())
                if kind == "colour":
                    self.assertTrue(any(t.colour == answer for t in scene.things), (question, answer))
                if kind == "read":
                    self.assertEqual([t.text for t in view.cards], [answer])
                if kind == "unknown" and answer.startswith("there is no"):
                    self.assertNotIn(answer.split()[-1], view.names)
        self.assertEqual(kinds, set(KINDS))

    def test_both_ways_of_painting_agree(self):
        self.assertLess(max(people.check_painter(seed=s) for s in range(5)), 6)

    def test_conversations_ask_everything_once_in_order(self):
        for n in (1, 7, 16, 32):
            made = [[(f"q{i}", f"a{i}")] for i in range(n)]
            rows = language.conversations(made)
            self.assertEqual([turn for row in rows for turn in row], [turn for turns in made for turn in turns])
            self.assertLessEqual(max(map(len, rows)), max(language.TURNS))
        self.assertEqual(len(rows), 15)

    def test_many_rows_at_once_are_each_row_alone(self):
        net, rng = MqtLlava(Config()).eval(), random.Random(5)
        scenes = [sample_scene(rng) for _ in range(2)]
        turns = [t for s in scenes for _, t in questions(s, 3, rng)]
        rows, features = packed.Rows.pack([self.prompt.turns(t) for t in turns]).to("cpu"), torch.randn(2, 64, Config().vision_hidden)
        for m, loud in ((3, 1), (64, 1), (1, 60)):
            with torch.no_grad():
                # A loud query scores some hundred below zero wherever it looks: exponentials of that are nothing.
                [layer.self_attn.q_proj.weight.mul_(loud) for layer in net.model.layers]
                visual = net.query_abstractor(features, m)
                together = packed.forward(net, torch.tensor(self.prompt.prefix), visual, rows)
                alone = []
                for i, t in enumerate(turns):
                    ids, learn = self.prompt.turns(t)
                    logits = net(net.splice([*self.prompt.prefix, tokenizer.IMAGE, *ids], visual[i // 3]))
                    first = len(self.prompt.prefix) + m
                    alone += [logits[first + j - 1] for j, wanted in enumerate(learn) if wanted]
            self.assertTrue(torch.allclose(together, torch.stack(alone), atol=2e-4 if loud == 1 else 2e-2), m)

    def test_visual_tokens_start_as_words(self):
        """A head that names patches by one-hot features: the nearest word vector must be that name."""
        net, head = MqtLlava(Config()), torch.nn.Linear(Config().vision_hidden, sum(targets.PARTS.values()))
        with torch.no_grad():
            head.weight.zero_(), head.bias.zero_()
            head.weight[:len(NAMES) + 1, :len(NAMES) + 1] = 4 * torch.eye(len(NAMES) + 1)
        features = torch.zeros(1, 64, Config().vision_hidden)
        shown = torch.arange(64) % len(NAMES)
        features[0, torch.arange(64), shown + 1] = 1
        words.speak(net, head, self.prompt, features)
        tokens = F.layer_norm(features, features.shape[-1:]) @ net.query_abstractor.proj
        names = net.model.embed_tokens.weight[[self.prompt.word(n)[0] for n in NAMES]]
        self.assertGreater(((tokens @ names.T).argmax(-1)[0] == shown).float().mean(), 0.95)

    def test_a_word_finds_the_patches_that_show_it(self):
        """At the start, before any training: in a looking head the word's query is nearest to the key of that word's patch."""
        net, hits = MqtLlava(Config()), 0
        table, key = net.model.embed_tokens.weight.detach(), words.rotation(Config().hidden)
        words.look_up(net, key)
        names = words.unit(table[[self.prompt.word(n)[0] for n in NAMES]])
        a, d = net.model.layers[0].self_attn, Config().hidden // Config().heads
        with torch.no_grad():
            queries, keys = (16 * names @ a.q_proj.weight.T).unflatten(1, (-1, d)), (16 * names @ key @ a.k_proj.weight.T).unflatten(1, (-1, d))
            for h in range(Config().heads // 2):
                found = (queries[:, h] @ keys[:, h * Config().kv_heads // Config().heads].T).argmax(1)
                hits += (found == torch.arange(len(NAMES))).float().mean().item() / (Config().heads // 2)
        self.assertGreater(hits, 0.8)

    def test_the_tower_is_told_what_a_question_would_answer(self):
        """Relations against answers: the same words for what is left of a thing, how many there are, which comes first."""
        rng, compared = random.Random(8), 0
        for _ in range(200):
            scene = sample_scene(rng)
            view, told = View(scene), targets.relations(scene)
            self.assertEqual(told.shape, (len(scene.things), len(targets.RELATED)))
            for t, row in zip(scene.things, told):
                said = dict(zip(targets.RELATED, row.tolist()))
                self.assertEqual(said["total"] + 1, len(scene.things))
                if said["cell"] >= 0:
                    self.assertEqual((said["cell"] % 3, said["cell"] // 3), scene.cell(t))
                if view.listing and said["rank"] == 0:
                    self.assertIn(own_words(t).split()[-1][:3], view.listing.split(" and ")[0].split(",")[0])
                found = view.towards(t, (-1, 0))
                if found not in (None, "nothing"):
                    words_of = ([COLOUR_NAMES[said["left of colour"] - 1]] if said["left of colour"] else []) + [NAMES[said["left of"] - 1]]
                    self.assertEqual(" ".join(words_of), own_words(found))
                    compared += 1
        self.assertGreater(compared, 50)

    def test_two_processes_train_as_one_does(self):
        torch.manual_seed(3)
        whole = torch.nn.Sequential(*(torch.nn.Linear(6, 6) for _ in range(4)))
        halved, x, losses = copy.deepcopy(whole), torch.randn(8, 6), []
        for net, shares in ((whole, [8]), (halved, [3, 5])):
            # Weights of "layers" are Muon's, biases AdamW's; only Muon's are shared out.
            opts = optimiser.make({"layers": net}, 0.05)
            pair = twin.Twin(list(net.parameters()), opts, lambda half: (net(half) - half).square().mean(), alone=len(shares) == 1)
            for i in range(5):
                optimiser.set_rate(opts, 0.05 / (i + 1))
                losses.append(pair.gradient(x.split(shares), shares).item())
                pair.step(0.5)
            pair.stop()
            momenta = [len(opts[0].state[p]) for p in opts[0].param_groups[0]["params"]]
            self.assertEqual(momenta, [1] * 4)  # what is saved is whole
        for a, b in zip(losses[:5], losses[5:]):
            self.assertAlmostEqual(a, b, places=4)
        for a, b in zip(whole.parameters(), halved.parameters()):
            self.assertTrue(torch.allclose(a, b, atol=1e-3))  # orthogonalised in bf16

    def test_the_clock_stops_at_the_budget_and_at_the_limit(self):
        clock = run.Clock(torch.device("cpu"), 1e-9, float("inf"))
        clock.tick()
        sum(range(100_000))
        self.assertFalse(clock.tick())
        self.assertTrue(clock.finished())
        self.assertFalse(run.Clock(torch.device("cpu"), 1e9, 0.0).tick())
        clock = run.Clock(torch.device("cpu"), 1e9, float("inf"))
        self.assertTrue(clock.tick())
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertFalse(clock.tick())
        self.assertFalse(clock.finished())

    def test_every_stage_runs_resumes_and_is_exported(self):
        cpu = torch.device("cpu")
        plan = run.Plan(held=8, tower_batch=4, tower_log=2, twins=1, pictures=8, feature_batch=4, language_pictures=2, questions=4, language_log_seconds=0)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            shutil.copytree(self.folder.name, f"{folder}/tokenizer")
            steps = {}
            for _ in range(2):
                self.assertFalse(tower.train(folder, two_steps(), plan, cpu))
                language.cache_features(folder, plan, cpu)
                self.assertFalse(language.train(folder, two_steps(), plan, cpu))
                for name in ("tower", "language"):
                    steps.setdefault(name, []).append(torch.load(f"{folder}/{name}.pt", weights_only=False)["step"])
            self.assertEqual(steps, {"tower": [2, 4], "language": [2, 4]})
            net, asked = export.trained(folder)
            self.assertGreater(asked, 0)
            export.export(net, f"{folder}/checkpoint", f"{folder}/tokenizer")
            again = export.load_exported(f"{folder}/checkpoint").state_dict()
            self.assertTrue(all(torch.allclose(v, again[k], rtol=1e-3, atol=1e-6) for k, v in net.state_dict().items()))

    def test_the_worker_remakes_the_pictures_it_asks_about(self):
        plan = run.Plan(pictures=8, feature_batch=4)
        asker, drawer = language.Asker(1, plan, self.folder.name), language.Pictures(language.FEATURE_SEED, 4, Config())
        asker.start(), drawer.start()
        self.assertEqual(asker.scenes(1), drawer.scenes(1)[0])


def two_steps():
    """A clock that runs out after two steps but whose budget is not spent."""
    clock, ticks = run.Clock(torch.device("cpu"), 1e9, float("inf")), iter([True, True, False])
    clock.tick = lambda: next(ticks)
    return clock


if __name__ == "__main__":
    unittest.main()
