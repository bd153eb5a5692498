"""What the report says that each table found: the right sentence of small csvs, and its opposite of the opposite."""

import csv
from pathlib import Path

import pytest
from cryobench.experiments import claims as claimed
from cryobench.experiments.table_stability import RATIOS as STEADY

from cryobench.report import links, tables, told
from cryobench.report.told.paper import CLAIMED
from cryobench.report.told.words import TELLERS
from cryobench.runs.store import Store
from cryobench.tables import frame

RESULTS = Path(__file__).parents[1] / "results"
TABLES = sorted(RESULTS.glob("*/tables/*.md"))
LONGEST = 260
UNTOLD: dict[str, str] = {}  # table → why it has no sentence


@pytest.fixture
def said(tmp_path):
    """(table, csv) → its sentence; csv: lines, cells between |."""

    def of(name: str, text: str, read: str = "") -> str:
        rows = [line.strip().split("|") for line in text.strip().splitlines()]
        lines = [",".join(f'"{cell.strip()}"' for cell in row) for row in rows]
        (tmp_path / f"{read or name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return told.sentence(tmp_path / f"{name}.csv")

    return of


@pytest.mark.parametrize("file", TABLES, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
def test_every_table_of_the_committed_results_says_what_it_found(file):
    """Shortly, in whole sentences, and with no number that is none."""
    sentence = told.sentence(file.with_suffix(".csv"))
    if file.stem in UNTOLD:
        assert not sentence
        return
    assert sentence.endswith(".") and 60 < len(sentence) < LONGEST, (len(sentence), sentence)
    assert not any(bad in sentence for bad in ("nan", "None", "inf ", "{", " 0 of", "l1", "l2")), sentence


def test_it_stands_above_the_fold(tmp_path, said):
    """In whichever way the table is shown."""
    (tmp_path / "tables").mkdir()
    for name in ("claims", "table1"):
        (tmp_path / "tables" / f"{name}.md").write_text("# A table\n\nwhat it is\n")
        (tmp_path / "tables" / f"{name}.csv").write_text("claim,verdict\nwgan,reversed\n")
    store = Store(tmp_path)
    shown = tables.all_tables(store, frame.frame(store.all()), links.of([store]))
    assert [(one["name"], bool(one["told"])) for one in shown] == [("table1", False), ("claims", True)]


def test_published(said):
    """The lowest of the paper's rows at each noise level, not of others; how many of ours are near, and the opposite."""
    lines = "row|snr|metric|mean|paper\nBM3D|0.1|mse|0.0041|0.004\nCWF|0.1|mse|{}|0.002\nmine|0.1|mse|0.001|\nCWF|0.1|psnr|25|25"
    assert said("table2", lines.format(0.003)) == (
        "Of the paper's rows the lowest mean here: CWF at SNR 0.1 (3.00e-3). Ours agree with 1 of 2 published MSEs to within a "
        "factor of 1.25."
    )
    assert "BM3D at SNR 0.1 (4.10e-3)" in said("table2", lines.format(0.005))
    assert said("table3", "row|snr|metric|mean|paper\n10000|0.1|mse||0.003\nl1-Autoencoder|0.1|mse|0.0028|") == (
        "No row of the paper's was run here. Lowest of the others: ℓ1-Autoencoder at SNR 0.1 (2.80e-3)."
    )
    assert said("table3", "row|snr|metric|mean|paper\n10000|0.1|mse|0.003|0.003").startswith(
        "Of the paper's rows the lowest mean here: λ = 10000 at SNR 0.1 (3.00e-3). Ours agree with 1 of 1 published MSE to"
    )


@pytest.mark.parametrize("name", sorted(TELLERS))
def test_no_csv_or_one_that_lacks_what_it_takes_says_nothing(name, tmp_path):
    file = tmp_path / f"{name}.csv"
    assert told.sentence(file) == ""
    teller = TELLERS[name]
    read = tmp_path / f"{teller.csv or name}.csv"
    for text in ("", "x,y\n1,2\n", ",".join(teller.columns) + "\n", ",".join(teller.columns[1:]) + ",x\n" + "0," * 30):
        read.write_text(text, encoding="utf-8")
        assert told.sentence(file) == ""


@pytest.mark.parametrize("file", TABLES, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
def test_a_csv_cut_short_or_without_numbers_is_no_error(file, tmp_path):
    """As after the first runs of a sweep."""
    teller = TELLERS[file.stem]
    whole = file.with_name(f"{teller.csv or file.stem}.csv")
    lines = whole.read_text(encoding="utf-8").splitlines()
    for end in (*range(1, min(30, len(lines))), len(lines) // 2):
        (tmp_path / whole.name).write_text("\n".join(lines[:end]), encoding="utf-8")
        told.sentence(tmp_path / f"{file.stem}.csv")
    empty = {"mean", "mse", "nmse", "times_clean", "times_limit", "times_own", "rank"} | set(STEADY)
    with open(whole, encoding="utf-8", newline="") as text, open(tmp_path / whole.name, "w", encoding="utf-8") as out:
        rows = csv.DictReader(text)
        writer = csv.DictWriter(out, rows.fieldnames)
        writer.writeheader()
        writer.writerows({column: "" if column in empty else value for column, value in row.items()} for row in rows)
    told.sentence(tmp_path / f"{file.stem}.csv")


def test_a_table_that_nobody_tells_of_says_nothing(tmp_path):
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    assert told.sentence(tmp_path / "mine.csv") == ""


def test_every_claim_is_called_in_words():
    assert set(CLAIMED) == {claim.name for claim in claimed.CLAIMS}


def test_claims(said):
    reversed_ = said(
        "claims", "claim|verdict\nwgan|reversed\nwgan|reversed\nlearned|reversed\nlearned|holds\njoint|undecided"
    )
    assert reversed_ == (
        "Significantly reversed is that WGANgp + ℓ1 is the best convolution-only net, in 2 of 2 comparisons; that learned "
        "methods are better than classical ones, in 1 of 2 (it holds in 1)."
    )
    held = said("claims", "claim|verdict\nwgan|holds\nwgan|holds\njoint|undecided")
    assert held == (
        "No claim is significantly reversed. It holds that WGANgp + ℓ1 is the best convolution-only net, in 2 of 2 comparisons."
    )
    assert said("claims", "claim|verdict\nwgan|undecided") == "No claim is significantly reversed, and none holds."


@pytest.mark.parametrize(
    "described, released, expected",
    [(0.001, 0.0022, "2 are nearer to ours under protocol “released”, none to ours under “described”"),
     (0.0019, 0.009, "none are nearer to ours under protocol “released”, 2 to ours under “described”"),
     (0.001, 0.004, "none are nearer to ours under protocol “released”, none to ours under “described”, 2 as near to either")],
)  # fmt: skip
def test_released(said, described, released, expected):
    """The published number is 0.002; a metric that is not the MSE, and a row without both protocols, count for nothing."""
    lines = ["row|snr|metric|protocol|mean|n_seeds|paper"]
    for row in ("BM3D", "CWF"):
        lines += [f"{row}|0.1|mse|described|{described}|3|0.002", f"{row}|0.1|mse|released|{released}|3|0.002"]
    lines += ["KSVD|0.1|mse|described|0.002|3|0.002", "KSVD|0.1|mse|released||0|0.002", "CWF|0.1|psnr|described|1|3|2"]
    assert said("released", "\n".join(lines)) == f"Of 2 published MSEs {expected}."
    lines[1] = lines[1].replace("|3|", "|1|")
    assert said("released", "\n".join(lines)).endswith("; 1 of the 2 by one seed.")


def test_published_gap(said):
    head = "table|row|snr|metric|verdict|why\n"
    cells = "2|BM3D|0.1|mse|protocol|true σ, clipped: 3e-2\n2|CWF|0.1|mse|unexplained|not by true σ, clipped: 1e-2\n"
    rest = (
        "2|BM3D|0.1|psnr|protocol|true σ, clipped: 14\n2|WGANgp + l1|0.1|mse|protocol|protocol=released: 3e-3\n"
        "2|KSVD|0.1|mse|agrees|"
    )
    expected = "Of 2 published MSEs of classical methods that ours miss, a setting of this table agrees in size with"
    assert said("published_gap", head + cells + rest, "published_cells") == (
        f"{expected} 1: BM3D at SNR 0.1 (true σ, clipped)."
    )
    opposite = cells.replace("protocol|", "unexplained|not by ")
    assert said("published_gap", head + opposite + rest, "published_cells") == f"{expected} none."


def test_published_cells(said):
    """In the paper's order are the three rows of an MSE, but three may be so by chance; five are not likely to be."""
    head, cells = "table|row|snr|metric|paper|mean|verdict\n", "1|a|0.1|mse|1|1|agrees\n1|b|0.1|mse|2|2|agrees\n"
    sentence = said("published_cells", head + cells + "1|c|0.1|mse|3|9|unexplained\n3|5|0.1|mse|3|3|agrees")
    start = "Of the published numbers these agree in size: 2 of 3 in Table 1, 1 of 1 in Table 3."
    assert sentence == f"{start} In none of 1 column do our rows come significantly in the paper's order."
    more = "1|d|0.1|mse|4|10|unexplained\n1|e|0.1|mse|5|11|unexplained\n"
    sentence = said("published_cells", head + cells + "1|c|0.1|mse|3|9|unexplained\n" + more)
    assert sentence.endswith("In 1 of 1 column do our rows come significantly in the paper's order.")


def test_contamination(said):
    """Where the numbers of the one that suffers most are of one seed, it says which."""
    head = "row|unit|type|share|metric|times_clean|n_seeds\nl2-Autoencoder|image|A|0.0|mse|1|3\n"
    worse = "l2-Autoencoder|image|A|0.3|mse|4.0|3\nWGANgp + l1|image|B|0.1|mse|1.05|3\nWGANgp + l1|image|B|0.2|mse||0\n"
    start = "At worst the MSE is 4.00 × the same method's with clean pairs"
    what = "ℓ2-Autoencoder with noise in place of 30 % of the clean references"
    assert said("contamination", head + worse) == f"{start}: {what}. Never above 1.1 ×: WGANgp + ℓ1."
    once = said("contamination", head + worse.replace("|3\n", "|1\n"))
    assert once == f"{start} (contaminated: one seed): {what}. Never above 1.1 ×: WGANgp + ℓ1 (one seed)."
    other = said(
        "contamination", head + worse.replace("4.0|", "1.3|").replace("1.05|3", "7.25|1").replace("|image|", "|batch|")
    )
    assert other == (
        "At worst the MSE is 7.25 × the same method's with clean pairs (one seed): WGANgp + ℓ1 with noise in place "
        "of 10 % of the noisy inputs, batch by batch. The worst of each other method: 1.30 ×."
    )


def test_image_size(said):
    head = "row|size|mse|nmse\n"
    lines = ["CWF|32|0.006|0.16", "CWF|64|0.001|0.5", "CWF|128|0.003|0.12", "GAN|32|0.01|0.2", "GAN|128|0.002|0.18"]
    falls = said("image_size", head + "\n".join([*lines, "Bayes limit|32|0.003|0.08", "Bayes limit|128|0.001|0.02"]))
    assert falls == (
        "From 32 to 128 px the MSE of 2 methods falls by 50 % to 80 % and the NMSE falls by 10 % to 25 %; the NMSE of the Bayes "
        "limit falls by 75 %."
    )
    swapped = [line.replace("|32|", "|x|").replace("|128|", "|32|").replace("|x|", "|128|") for line in lines]
    rises = said("image_size", head + "\n".join(swapped))
    assert rises == "From 32 to 128 px the MSE of 2 methods rises by 100 % to 400 % and the NMSE rises by 11 % to 33 %."
    assert "NMSE changes by −25 % to +50 %" in said("image_size", head + "\n".join([*lines[:4], "GAN|128|0.002|0.3"]))
    assert said("image_size", head + lines[0]) == ""


def test_clustering(said):
    head = "view|row|embedding|images|draws|seeds|mean|above_chance|paper\n"
    lines = (
        "random|clean|isomap|60|60|3|33.7|4|\nrandom|CWF|isomap|60|60|3|34.66|5|44\nrandom|exemplar|tsne|60|60|3|60|60|46\n"
        "random|exemplar|isomap|60|60|3|34.1|4|54\nmotion|CWF|isomap|60|60|1|43.9|51|\nmotion|exemplar|isomap|60|60|3|33.5|30|\n"
    )
    assert said("table_clustering", head + lines) == (
        "Guessing gets 33.1 of 60 right, clean images in random views 33.7, the paper's best 54. Above chance in most draws: "
        "none of 2 methods in random views (at best 34.7, CWF), 1 of 2 methods in one fixed view (at best 43.9, CWF, one seed)."
    )
    swapped = lines.replace("random", "x").replace("motion", "random").replace("x|", "motion|").replace("emotion", "ex")
    assert "1 of 2 methods in random views (at best 43.9" in said("table_clustering", head + swapped)


@pytest.mark.parametrize(
    "without, mean, expected",
    [("0.0162", "0.0073", "lower than without (1.62e-2) and than the mean image's (7.30e-3)"),
     ("0.0162", "0.0060", "lower than without (1.62e-2), but higher than the mean image's (6.00e-3)"),
     ("0.0050", "0.0060", "higher than without (5.00e-3) and than the mean image's (6.00e-3)"),
     ("0.0050", "0.0073", "higher than without (5.00e-3), but lower than the mean image's (7.30e-3)")],
)  # fmt: skip
def test_pggan(said, without, mean, expected):
    text = f"""row|snr|metric|mean|n_seeds|paper
    PGGAN + l1|0.05|mse|0.0065|3|
    PGGAN + l1|0.05|psnr|22|3|
    PGGAN|0.05|mse|{without}|3|
    mean image|0.05|mse|{mean}|3|"""
    start = f"At SNR 0.05 PGGAN with ℓ1 has an MSE of 6.50e-3, {expected}"
    assert said("table_pggan", text) == f"{start}."
    with_another = f"{text}\n(0,0)-GAN + l1, ResNet|0.05|mse|0.004|3|"
    assert said("table_pggan", with_another) == f"{start}. Lowest here: (0,0)-GAN + ℓ1, ResNet, 4.00e-3."
    assert " (one seed), " in said("table_pggan", text.replace("|3|\n", "|1|\n"))
    printed = text.replace("0.0065|3|", "0.0065|3|0.00809").replace(f"{without}|3|", f"{without}|3|0.0101")
    assert said("table_pggan", printed) == f"{start}. The paper: 8.09e-3 and 1.01e-2."
    collapsed = f"{text}\nPGGAN|0.05|variety_last|0.04|3|"
    assert f"without ({float(without) * 1e3:.2f}e-3, collapsed to one image)" in said("table_pggan", collapsed).replace(
        "1.62e-2", "16.20e-3"
    )


def test_stability(said):
    head = "row|curve|std_ratio|relative_ratio|quartiles_ratio\n"
    rest = "JSGAN + l1|test_mse|||\n"
    assert said("table_stability", f"{head}JSGAN|test_mse|0.05|1.2|4.77\n{rest}") == (
        "(0,0)-GAN oscillates 0.05 to 4.77 times as much as (0,0)-GAN + ℓ1: with ℓ1 it is steadier by 2 of 3 measures; "
        "not so with running statistics of batch norm (std 0.05)."
    )
    assert "by none of 3 measures; not so" in said("table_stability", f"{head}JSGAN|test_mse|0.05|0.2|0.77\n{rest}")
    assert said("table_stability", head + rest) == ""


def test_scale_up(said):
    """A trend that may be chance is not told as a fall: two of these slopes were once."""
    head = "method|way|by|slope|p_corrected|verdict\n"
    first = "l1-Autoencoder|pairs|images|-0.05|0.65|undecided\n"
    second, third = "(.5,.5)-GAN + l1|epochs|images|-0.14|0.032|falls\n", "l1-Autoencoder|width|width|0.08|0.01|rises\n"
    falls = "the MSE of (.5,.5)-GAN + ℓ1 falls with more epochs, as images to the power of −0.14 (p = 0.032)"
    rises = "the MSE of ℓ1-Autoencoder rises with wider nets, as width to the power of 0.08 (p = 0.01)"

    def of(lines):
        return said("scale_up", head + lines, read="scale_up_trends")

    start, end = "significant after Holm's correction", "undecided (p ≥ 0.65)."
    assert of(first + second) == f"Of 2 trends 1 is {start}: {falls}. The others are {end}"
    assert of(first) == f"Of 1 trend none is {start}. All are {end}"
    assert of(second + third) == f"Of 2 trends 2 are {start}: {falls} and {rises}."
    assert of("l1-Autoencoder|pairs|images|-0.05||\n") == ""


def test_microscope(said):
    head = "method|setting|nmse|times_limit|rank\n"
    white = "Bayes limit|white|0.01|1|\nexemplar|white|0.02|1.66|1\nCWF|white|0.1|11|2\nBM3D|white|0.2|15|3\n"
    alike = "exemplar|CTF|0.1|1.1|1\nCWF|CTF|0.2|4|2\nBM3D|CTF|1.3|25|3\nCWF not told|CTF|1|20|4"
    assert said("table_microscope", head + white + alike) == (
        "By mean NMSE 3 of 3 pairs of methods keep their order from “white” to “CTF”. Lowest of those: exemplar (1.66 "
        "× limit) in the first, exemplar (1.10 × limit) in the last."
    )
    other = "exemplar|CTF|2|25|3\nCWF|CTF|0.2|4|2\nBM3D|CTF|0.1|2|1"
    assert said("table_microscope", head + white + other) == (
        "By mean NMSE none of 3 pairs of methods keep their order from “white” to “CTF”. Lowest of those: exemplar "
        "(1.66 × limit) in the first, BM3D (2.00 × limit) in the last."
    )
    assert said("table_microscope", head + white) == ""


def test_robustness(said):
    text = """row|times_own|n_seeds
    exemplar|1|3
    exemplar, clipped|20.59|1
    exemplar, CTF|17.05|1
    CWF, σ halved|1.2|1"""
    start = "The worst of those that were tried, as a multiple of the MSE with every assumption kept (one seed):"
    assert said("table_robustness", text) == f"{start} exemplar 20.6 (clipped, of 2), CWF 1.20 (σ halved, of 1)."
    milder = text.replace("20.59", "2")
    assert said("table_robustness", milder) == f"{start} exemplar 17.1 (CTF, of 2), CWF 1.20 (σ halved, of 1)."


def test_molecules(said):
    head = "data|row|snr|metric|mean\n"
    lines = (
        "a|Bayes limit|0.1|times_bayes|1\na|exemplar|0.1|times_bayes|1.3\na|CWF|0.1|times_bayes|7.8\na|CWF|0.1|mse|0.1\n"
        "b|Bayes limit|0.1|times_bayes|1\nb|exemplar|0.1|times_bayes|1.7\nb|CWF|0.1|times_bayes|11.9\n"
    )
    expected = "In 2 of 2 cases (2 molecules at each SNR) {} is the nearest to the Bayes limit, {}; in 2 {} is the farthest, {}."
    exemplar, cwf = ("exemplar", "1.30 to 1.70 × limit"), ("CWF", "7.80 to 11.9 × limit")
    assert said("table_molecules", head + lines) == expected.format(*exemplar, *cwf)
    swapped = lines.replace("exemplar", "x").replace("CWF", "exemplar").replace("|x|", "|CWF|")
    near, far = ("CWF", exemplar[1]), ("exemplar", cwf[1])
    assert said("table_molecules", head + swapped) == expected.format(*near, *far)


@pytest.mark.parametrize("table", ["robust_location", "robust_scatter"])
def test_robust_estimation(said, table):
    head = "target|tail|scatter|contamination|p|n|epsilon|row|mean|spread\n"
    far, strong = "t|gaussian|ar|far|20|500|0.2|", "t|gaussian|ar|strong|20|500|0.2|"
    lines = "".join(
        f"{column}{row}|{mean}|0.004\n"
        for column, means in ((far, (0.02, 0.03, 0.5)), (strong, (0.02, 1.0, 0.9)))
        for row, mean in zip(("oracle", "(0,0)-GAN 20-40-20-1", "mcd"), means, strict=True)
    )
    assert said(table, head + lines) == (
        "Lowest mean error in 2 columns, the oracle apart: (0,0)-GAN in 1, MCD in 1. The error of a GAN is 1.50 to 50.0 × the "
        "oracle's, the most where contamination is “strong”."
    )
    assert "apart: MCD in 2." in said(table, head + lines.replace("|0.5|", "|0.01|"))
    assert "apart: (0,0)-GAN in 1, several alike within their spread in 1." in said(
        table, head + lines.replace("|0.9|", "|0.995|")
    )


def test_rates(said):
    """Of a pair that the theorem says nothing of, and of the oracle, nothing is counted; a slope has a line for each x."""
    head = "row|axis|x|verdict\n"
    pairs = ("(0,0)-GAN D1", "(1,1)-GAN D1")
    lines = "".join(f"{row}|n|{x}|agrees\n{row}|epsilon|{x}|worse\n" for row in pairs for x in (1, 2))
    lines += "oracle|n|1|agrees\noracle|epsilon|1|better\n(1,-1)-GAN D1†|n|1|undecided\n"
    start = "Of the GANs that Theorem 1 covers, the slope agrees with its bound:"
    assert said("robust_rates", head + lines) == f"{start} along n for 2 of 2, along ε for none of 2 (2 worse than it)."
    swapped = lines.replace("|n|", "|x|").replace("|epsilon|", "|n|").replace("|x|", "|epsilon|")
    assert (
        said("robust_rates", head + swapped) == f"{start} along n for none of 2 (2 worse than it), along ε for 2 of 2."
    )


def test_leaderboard(said):
    head = "task|method|unit|nmse|side_information\n"
    lines = (
        "t|bayes|× Bayes limit|0.01|sigma volumes\nt|exemplar|× Bayes limit|0.02|clean\nt|cwf|× Bayes limit|0.1|\n"
        "t|mean_image|× Bayes limit|0.001|clean\nu|exemplar|× Bayes limit|0.3|clean\nu|cwf|× Bayes limit|0.1|\n"
        "clipped|nlm|NMSE|0.01|\n"
    )
    assert said("leaderboard", head + lines) == (
        "The lowest NMSE of 2 tasks with a limit: exemplar in 1, CWF in 1. Of methods without side information, in 2 tasks: "
        "CWF in 2."
    )
    assert "with a limit: CWF in 2." in said("leaderboard", head + lines.replace("|0.02|", "|0.2|"))
