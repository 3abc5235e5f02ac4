"""The peers of the text benchmarks, as their own examples run them: float32 on a CPU, bfloat16 autocast on a GPU."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from foretell.encoders.language import Shape


def precision(device: str) -> str:
    """What a peer computes in on ``device``."""
    return "float32" if device == "cpu" else "bfloat16 autocast"


class TrainerMLM:
    """transformers' Trainer with its masked-language collator, set up as its run_mlm.py example does.

    Texts are joined and cut into rows of ``length`` tokens (the example's default, without padding); AdamW as the Trainer
    chooses it, the loss over the whole vocabulary at every place.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        shape: Shape,
        ids: np.ndarray,
        *,
        length: int,
        batch: int,
        dropout: float,
        device: str = "cpu",
    ) -> None:
        import transformers

        transformers.logging.set_verbosity_error()
        names = ("pad", "unk", "cls", "sep", "mask")
        tokens = {f"{name}_token": f"[{name.upper()}]" for name in names}
        self.tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens)
        config = transformers.BertConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.inner,
            max_position_embeddings=length,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        torch.manual_seed(0)
        self.model = transformers.BertForMaskedLM(config)
        rows = len(ids) // length
        cut = ids[: rows * length].reshape(rows, length).astype(np.int64)
        self.rows = [{"input_ids": row.tolist()} for row in cut]
        self.collator = transformers.DataCollatorForLanguageModeling(tokenizer=self.tokenizer, mlm_probability=0.15)
        self.batch, self.cpu = batch, device == "cpu"
        self.transformers = transformers

    def train(self, steps: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            arguments = self.transformers.TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=self.batch,
                max_steps=steps,
                use_cpu=self.cpu,
                bf16=not self.cpu,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=not self.cpu,
            )
            self.transformers.Trainer(
                model=self.model, args=arguments, train_dataset=self.rows, data_collator=self.collator
            ).train()


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        q, k, v = self.attend(self.first(x)).split(width, dim=2)
        q, k, v = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in (q, k, v))
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(rows, length, width))
        made: Tensor = x + self.narrow(functional.gelu(self.wide(self.second(x))))
        return made


class PlainGPT(nn.Module):
    """A GPT and its loop as nanoGPT has them, without a compiler: all logits at once, torch's own AdamW, clipping to 1."""

    def __init__(self, shape: Shape, ids: np.ndarray, *, length: int, batch: int, device: str = "cpu") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.device = torch.device(device)
        self.tokens, self.positions = nn.Embedding(shape.vocabulary, shape.width), nn.Embedding(length, shape.width)
        self.blocks = nn.Sequential(*(_Block(shape.width, shape.heads) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.width)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
        matrices = [p for p in self.parameters() if p.ndim >= 2]
        others = [p for p in self.parameters() if p.ndim < 2]
        groups: list[dict[str, Any]] = [
            {"params": matrices, "weight_decay": 0.1},
            {"params": others, "weight_decay": 0.0},
        ]
        self.to(device)
        self.optimizer = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), fused=device != "cpu" or None)
        self.ids, self.length, self.batch = ids, length, batch

    def step(self) -> None:
        starts = torch.randint(len(self.ids) - self.length, (self.batch,))
        cut = np.stack([self.ids[i : i + self.length + 1].astype(np.int64) for i in starts.tolist()])
        rows = torch.from_numpy(cut).to(self.device)
        seen, wanted = rows[:, :-1], rows[:, 1:]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            x = self.norm(self.blocks(self.tokens(seen) + self.positions.weight))
            logits = functional.linear(x, self.tokens.weight)
            loss = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        loss.item()

    def train_steps(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
