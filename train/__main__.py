"""`python -m train CONFIG [section.key=value …]`: fine-tune a checkpoint from the command line."""

from __future__ import annotations

import click

from kayan.terminal import echo, reporting
from train import Program


@click.command(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("config", type=click.Path(dir_okay=False))
@click.argument("overrides", nargs=-1)
@click.option("--resume", is_flag=True, help="Go on from the last saved state of the run folder.")
def main(config: str, overrides: tuple[str, ...], resume: bool) -> None:
    """Fine-tune a token classifier as the YAML file CONFIG says, with section.key=value OVERRIDES.

    \b
    python -m train configs/starter.yaml
    python -m train configs/arabert.yaml training.epochs=3 output=runs/mine
    python -m train configs/starter.yaml debug.overfit=true
    """
    from train import config as configuration

    settings = configuration.read(config, overrides)
    from train.finetune import RunError, finetune

    with reporting(RunError):
        best = finetune(settings, resume)
    if not best:
        return
    echo(f"span F1 {best['eval_span_f1']:.4f} on validation at epoch {best['epoch']:.4g}")
    echo(f"checkpoint: {settings.output}/best   figures: {settings.output}/metrics.json")
    if settings.debug.overfit and best["eval_span_f1"] < 0.99:
        raise ValueError(
            "one batch was not learnt by heart (span F1 below 0.99): look at labels, learning rate and loss"
        )


if __name__ == "__main__":
    main()
