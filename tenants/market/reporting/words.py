"""The words of a campaign's brief, in each language that it is written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tenants.market.campaigns.policies.partners import is_partners, plugin_and_policy

LANGUAGES = ("en", "zh-hans")


@dataclass(frozen=True)
class Words:
    """Sentences take their figures by name."""

    title: str
    proposed: str
    undecided: str
    none_safe: str
    depends: str
    refused: str
    failed: str
    plugin: str
    compared: str
    columns: tuple[str, ...]
    swings: str
    swing: str
    levers: str
    lever: str
    no_levers: str
    basis: str
    fine_print: str
    measured: str
    elicited: str
    never: str
    names: Mapping[str, str] = field(default_factory=dict)

    def name(self, key: str) -> str:
        """A policy's, lever's or assumption's name; `segment: elasticity` part by part."""
        if key in self.names:
            return self.names[key]
        if is_partners(key) and ": " not in key:
            plugin, policy = plugin_and_policy(key)
            return self.plugin.format(policy=policy.replace("_", " "), plugin=plugin)
        head, colon, tail = key.partition(": ")
        if colon:
            return f"{self.names.get(head, head)}: {self.names.get(tail, tail.replace('_', ' '))}"
        return key.replace("_", " ")


ENGLISH = Words(
    title="Price-war rehearsal: {name}",
    proposed=(
        "**Proposed: {policy}**{parameters}. It leaves the most cash in {wins} of the scenarios."
    ),
    undecided=(
        "**No policy is proposed.** {leader} wins most often, in {wins} of the scenarios; "
        "{threshold} is asked for."
    ),
    none_safe="**No policy keeps the risk of ruin within {limit}.** Do not start this war.",
    depends=(
        "It depends on *{assumption}*: below {at}, {leader} wins in {below} of the scenarios, "
        "above it in {above}. On the side where it does worse, {instead} wins most often. "
        "Find this out first."
    ),
    refused="Not proposed, for its risk of ruin: {policies}.",
    failed="Not compared, because it failed: {policy} ({reason}).",
    plugin="{policy} (plugin {plugin})",
    compared="Policies after {months} months, in {currency}",
    columns=("policy", "cash at the end (10% to 90%)", "share", "ruin", "at the floor"),
    swings="What moves the result most",
    swing="- {name}: from {low} to {high}, cash at the end moves by {width}",
    levers="What each lever brings, in {currency}",
    lever="- {name} ({source}): {mean} ({low} to {high})",
    no_levers="- none is switched on",
    basis=(
        "{paths} paths in {scenarios} scenarios over {months} months, seed {seed}; "
        "unit cost from {source}; prices kept above the {floor} cost."
    ),
    fine_print=(
        "How rivals answer us and how customers answer prices are elicited priors with ranges: "
        "the price history cannot identify them. These are estimates, and nothing is posted."
    ),
    measured="measured",
    elicited="elicited",
    never="–",
    names={
        "books": "our books",
        "stated": "what the operator states",
        "long_run": "long-run",
        "short_run": "short-run",
    },
)  # fmt: skip

CHINESE = Words(
    title="价格战预演：{name}",
    proposed="**建议：{policy}**{parameters}。在 {wins} 的情景中，它留下的现金最多。",
    undecided="**不建议任何策略。** {leader}获胜最多，占情景的 {wins}；要求为 {threshold}。",
    none_safe="**没有任何策略能把破产风险控制在 {limit} 以内。** 不要发动这场价格战。",
    depends=(
        "结果取决于*{assumption}*：低于 {at} 时，{leader}在 {below} 的情景中获胜，"
        "高于时为 {above}。"
        "在它较差的一侧，{instead}获胜最多。请先查明这一点。"
    ),
    refused="因破产风险而不建议：{policies}。",
    failed="因运行失败而未比较：{policy}（{reason}）。",
    plugin="{policy}（插件 {plugin}）",
    compared="{months} 个月后的各策略，单位 {currency}",
    columns=("策略", "期末现金（10% 至 90%）", "份额", "破产", "触及底价"),
    swings="对结果影响最大的因素",
    swing="- {name}：从 {low} 到 {high}，期末现金变动 {width}",
    levers="每项举措带来的收益，单位 {currency}",
    lever="- {name}（{source}）：{mean}（{low} 至 {high}）",
    no_levers="- 没有启用任何举措",
    basis=(
        "{scenarios} 个情景中的 {paths} 条路径，共 {months} 个月，种子 {seed}；"
        "单位成本来自{source}；价格保持在{floor}成本之上。"
    ),
    fine_print=(
        "对手如何回应我们、客户如何回应价格，都是带区间的主观先验：价格历史无法识别它们。"
        "以上均为估计，不会入账。"
    ),
    measured="实测",
    elicited="估计",
    never="–",
    names={
        "hold": "维持价格", "match": "跟价", "undercut": "低价竞争",
        "hold_and_bundle": "维持价格并捆绑服务",
        "tier": "分层定价", "contract": "合同折扣", "niche": "专注细分市场",
        "compress_to_price": "压缩模型以降价",
        "cheaper_training": "降低训练成本", "utilisation": "提高利用率", "waste": "消除浪费",
        "procurement": "采购", "pruning": "剪枝", "services": "增值服务",
        "partner_revenue": "伙伴收入", "partner_cost_share": "伙伴分担成本", "new_lines": "新业务",
        "personalised_models": "个性化模型", "switching": "转换成本", "reaction": "对手反应强度",
        "steepness": "对手反应陡度", "matching": "对手跟价幅度", "launch_worth": "对手新品价值",
        "cost_decline": "成本下降速度", "elasticity": "价格弹性", "usage_elasticity": "用量弹性",
        "growth": "增长", "floor": "底价", "unit_cost_saving": "单位成本节省",
        "fixed_cost_saving": "固定成本节省", "customer_revenue": "每客户收入",
        "customer_cost": "每客户成本", "line_revenue": "业务收入", "line_cost": "业务成本",
        "worth": "客户价值", "cost_shared": "分担的成本", "revenue_shared": "分出的收入",
        "rivals": "对手", "cut hazard": "降价频率", "books": "账目", "stated": "运营方填报",
        "long_run": "长期", "short_run": "短期",
        "premium": "溢价", "by": "低于", "saving": "节省", "passed": "让利比例",
        "quality_loss": "质量损失",
        "cost": "成本", "share": "比例", "discount": "折扣", "bond": "违约成本", "raised": "提价",
    },
)  # fmt: skip

WORDS: Mapping[str, Words] = {"en": ENGLISH, "zh-hans": CHINESE}
