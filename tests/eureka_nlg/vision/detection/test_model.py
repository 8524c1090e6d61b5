"""The network of a config: weights from files, frozen layers, bfloat16, and the ResNet-50 configs at work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.vision.config_file import read_config

pytest.importorskip("accelerate")
models = pytest.importorskip("torchvision.models")

from eureka_nlg.vision.detection.config import DetectionConfig, DetectionModelConfig  # noqa: E402
from eureka_nlg.vision.detection.model import Anchors, build_network  # noqa: E402

ROOT = Path(__file__).resolve().parents[4]
CONFIGS = sorted((ROOT / "configs" / "vision").glob("coco*/*.yaml"))
COUNTS = torch.tensor([50, 20, 5])


@pytest.fixture(scope="module")
def imagenet_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision's weights of ResNet-50 are, with recognisable statistics."""
    torch.manual_seed(0)
    network = models.resnet50()
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.fill_(0.01)
    path = tmp_path_factory.mktemp("weights") / "resnet50.pt"
    torch.save(network.state_dict(), path)
    return path


def example() -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    torch.manual_seed(1)
    images = [torch.rand(3, 60, 80), torch.rand(3, 64, 64)]
    targets = [
        {"boxes": torch.tensor([[10.0, 10, 50, 50]]), "labels": torch.tensor([2])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    return images, targets


def test_configs_were_found() -> None:
    assert {path.parent.name for path in CONFIGS} == {"coco", "coco_shapes"}
    assert len(CONFIGS) >= 10


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_config_loads_and_its_loss_is_what_its_name_says(path: Path) -> None:
    config = read_config(DetectionConfig, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    header = [line[1:].strip() for line in lines if line.startswith("#")]
    assert header[-1] == f"eureka vision detect {path.relative_to(ROOT)}"
    assert "paper" in " ".join(header)
    assert config.save_dir == f"runs/{path.parent.name}/{path.stem}"
    kind = {"ce": "cross_entropy", "fl": "focal", "hfl": "halted_focal", "fl_hfl": "halted_focal"}
    assert config.loss.name == kind.get(path.stem, "eureka")
    assert (config.loss.halted == "both") == (path.stem == "hfl")
    assert (config.loss.likelihood_cap is not None) == (path.stem == "el_capped")


def test_paper_settings() -> None:
    config = read_config(DetectionConfig, ROOT / "configs/vision/coco/fl_hfl.yaml")
    training = config.training
    assert (training.batch_size, training.momentum, training.weight_decay) == (8, 0.9, 1e-4)
    assert (config.epochs * config.steps_per_epoch, training.milestones) == (90_000, [60_000, 80_000])
    assert (config.loss.alpha, config.loss.focal_gamma, config.loss.halting_threshold) == (0.25, 2.0, 0.5)
    rates = [config.learning_rate(step) for step in (0, 499, 999, 59_999, 60_000, 79_999, 80_000, 89_999)]
    assert rates == pytest.approx([5e-6, 2.5e-3, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])


def test_schedule_scales() -> None:
    fl = ROOT / "configs/vision/coco/fl.yaml"
    config = read_config(DetectionConfig, fl, ["training.schedule_scale=0.01"])
    assert (config.epochs, config.steps_per_epoch) == (1, 900)
    rates = [config.learning_rate(step) for step in (4, 9, 599, 600, 799, 800)]
    assert rates == pytest.approx([2.5e-3, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5])
    # 1107 updates: two rounds of the same length, rounded up
    config = read_config(DetectionConfig, fl, ["training.schedule_scale=0.0123"])
    assert (config.epochs, config.steps_per_epoch) == (2, 554)


@pytest.mark.parametrize("name", ["ce", "fl", "hfl", "fl_hfl", "el", "el_capped", "simplified_el"])
def test_resnet50_config_runs_a_step(name: str, imagenet_like: Path) -> None:
    options = [f"model.pretrained={imagenet_like}", "data.min_size=64", "data.max_size=96"]
    config = read_config(DetectionConfig, ROOT / f"configs/vision/coco/{name}.yaml", options)
    network = build_network(config, COUNTS)
    images, targets = example()
    losses = network(images, targets)
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    trained = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    body = {name.split(".")[2] for name in trained if name.startswith("backbone.body.")}
    assert body == {"layer2", "layer3", "layer4"}  # stem and first stage stay, as in Detectron2
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    statistics = network.get_buffer("backbone.body.bn1.running_mean")
    torch.testing.assert_close(statistics, torch.full((64,), 0.01))  # the file's, and not updated


def test_weights_that_do_not_fit(imagenet_like: Path, tmp_path: Path) -> None:
    def network(path: Path) -> None:
        model = DetectionModelConfig(pretrained=str(path), norm="frozen_batch")
        build_network(DetectionConfig(model=model), COUNTS)

    with pytest.raises(UserError, match="no such file"):
        network(tmp_path / "none.pt")
    torch.save({"conv1.weight": torch.zeros(2)}, tmp_path / "bad.pt")
    with pytest.raises(UserError, match="expected the state dict of torchvision's resnet50"):
        network(tmp_path / "bad.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(UserError, match="expected the state dict of torchvision's resnet50"):
        network(tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="expected the state dict of torchvision's resnet50"):
        network(tmp_path / "list.pt")


def test_random_weights_are_not_frozen() -> None:
    for options in ({"norm": "frozen_batch"}, {"trainable_layers": 3}):
        with pytest.raises(UserError, match="random weights must not stay as they are"):
            DetectionModelConfig(**options)
    with pytest.raises(UserError, match="there are no weights for backbone small"):
        DetectionModelConfig(backbone="small", pretrained="imagenet")


def small(norm: str = "batch") -> torch.nn.Module:
    options = ["model.norm=" + norm]
    config = read_config(DetectionConfig, ROOT / "configs/vision/coco_shapes/fl.yaml", options)
    torch.manual_seed(2)
    return build_network(config, COUNTS)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_small_backbone_detects_in_the_images_coordinates(norm: str) -> None:
    network = small(norm)
    images, targets = example()
    assert all(torch.isfinite(loss) for loss in network(images, targets).values())
    network.eval()
    network.score_thresh = 0.0
    with torch.inference_mode():
        found = network(images)
    for image, prediction in zip(images, found):
        height, width = image.shape[1:]
        right, bottom = prediction["boxes"][:, 2:].amax(0)
        assert 0.75 * width < right <= width  # not those of the resized image, which is larger
        assert 0.75 * height < bottom <= height
        assert len(prediction["scores"]) == 100
        assert set(prediction["labels"].tolist()) <= {0, 1, 2}  # no class for the background


def test_anchors_are_torchvisions_also_in_bfloat16() -> None:
    anchor_utils = pytest.importorskip("torchvision.models.detection.anchor_utils")
    image_list = pytest.importorskip("torchvision.models.detection.image_list")
    sizes, ratios = ((32, 40, 50), (64, 80, 101)), ((0.5, 1.0, 2.0),) * 2
    images = image_list.ImageList(torch.zeros(1, 3, 800, 1088), [(800, 1088)])
    features = [torch.zeros(1, 4, 100, 136), torch.zeros(1, 4, 50, 68)]
    [expected] = anchor_utils.AnchorGenerator(sizes, ratios)(images, features)
    [ours] = Anchors(sizes, ratios)(images, [feature.bfloat16() for feature in features])
    assert ours.dtype == torch.float32
    assert torch.equal(ours, expected)
    [theirs] = anchor_utils.AnchorGenerator(sizes, ratios)(images, [f.bfloat16() for f in features])
    assert (theirs.float() - expected).abs().max() > 2  # why there is a class of our own


def test_loss_under_autocast_is_close_to_float32() -> None:
    network = small()
    images, targets = example()
    exact = network(images, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(images, targets)
    for name in exact:
        assert rounded[name].dtype == torch.float32
        assert rounded[name].item() == pytest.approx(exact[name].item(), rel=0.05)
