"""What answers when a registered model is loaded: MLflow copies this file beside the weights and runs it.

Retort does not import it, and it imports nothing of Retort, because it travels alone.
"""

from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel, PythonModelContext

MAX_NEW_TOKENS = 256


class ServedModel(PythonModel):
    """A causal language model that answers each prompt greedily."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the folder that was registered, without network and without code from it."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = context.artifacts["model"]
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
        self._system = str(context.model_config.get("system", ""))

    def predict(
        self, context: PythonModelContext, model_input: list[str], params: dict[str, Any] | None = None
    ) -> list[str]:
        """Answer each prompt, which is what the user says; a table of one column does as well."""
        return [self._answer(prompt) for prompt in model_input]

    def _answer(self, prompt: str) -> str:
        import torch

        ids = self._tokenizer.encode(self._written(prompt), add_special_tokens=False, return_tensors="pt")
        limit = self._model.generation_config.max_new_tokens or MAX_NEW_TOKENS
        with torch.inference_mode():
            output = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=limit,
                eos_token_id=self._tokenizer.eos_token_id,
                pad_token_id=self._tokenizer.eos_token_id,
            )
        return str(self._tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)).strip()

    def _written(self, prompt: str) -> str:
        """The prompt in the form in which the model was trained."""
        if self._tokenizer.chat_template is None:
            return prompt
        system = [{"role": "system", "content": self._system}] if self._system else []
        messages = [*system, {"role": "user", "content": prompt}]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


mlflow.models.set_model(ServedModel())
