// pick: the next token of a row of logits, greedy or drawn with temperature, top-k and top-p, and
//   how likely it was among all;
// then the state moves on by one position
// logits [cols] f32 - seen [cols / 32] bits: tokens that the repetition penalty falls on - state:
//   common/state.wgsl - mask [cols / 32] bits: tokens that may be picked
// grid: one workgroup of WG lanes; prelude: common/state.wgsl; constant GREEDY: 1 takes the largest
//   logit, without penalty or draw; constant MASKED: 1 picks only what the mask has
// Thresholds come from radix selection on the logits' bits, draws from Gumbel noise by a hash of
//   (seed, count, token): no sorting.
struct Params { cols: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> seen: array<u32>;
@group(0) @binding(3) var<storage, read_write> state: State;
@group(0) @binding(4) var<storage, read> mask: array<u32>;

var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> chosen: u32;
var<workgroup> above: u32;
var<workgroup> best_value: array<f32, WG>;
var<workgroup> best_index: array<u32, WG>;
var<workgroup> sums: array<f32, WG>;

// The logit after the repetition penalty.
fn value_of(i: u32) -> f32 {
    let logit = logits[i];
    if GREEDY == 1u || ((seen[i / 32u] >> (i & 31u)) & 1u) == 0u { return logit; }
    return select(logit / state.repetition_penalty, logit * state.repetition_penalty, logit < 0.0);
}

// Whether the token may be picked.
fn may(i: u32) -> bool {
    if MASKED == 0u { return true; }
    return ((mask[i / 32u] >> (i & 31u)) & 1u) == 1u;
}

// Orders like the floats do.
fn key_of(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn hash(seed: u32) -> u32 {
    var h = seed;
    h = (h ^ (h >> 16u)) * 0x7feb352du;
    h = (h ^ (h >> 15u)) * 0x846ca68bu;
    return h ^ (h >> 16u);
}

// Likelihood against the likeliest token's, in 1/16384: what top-p adds up.
fn likelihood(value: f32, top: f32, heat: f32) -> u32 { return u32(exp((value - top) / heat) * 16384.0 + 0.5); }

// The largest key such that the tokens at or above it, counted or (weighted) by likelihood, reach
//   `goal`; of keys below `least` none count.
fn threshold(local: u32, least: u32, weighted: bool, goal: u32, top: f32, heat: f32) -> u32 {
    var prefix = 0u;
    if local == 0u { above = 0u; }
    for (var byte = 0u; byte < 4u; byte++) {
        for (var b = local; b < 256u; b += WG) { atomicStore(&bins[b], 0u); }
        workgroupBarrier();
        let shift = 24u - 8u * byte;
        for (var i = local; i < params.cols; i += WG) {
            if !may(i) { continue; }
            let value = value_of(i);
            let key = key_of(value);
            if key >= least && (byte == 0u || (key >> ((shift + 8u) & 31u)) == prefix) {
                atomicAdd(&bins[(key >> shift) & 255u], select(1u, likelihood(value, top, heat), weighted));
            }
        }
        workgroupBarrier();
        if local == 0u {
            var b = 255u;
            while b > 0u && above + atomicLoad(&bins[b]) < goal {
                above += atomicLoad(&bins[b]);
                b -= 1u;
            }
            chosen = b;
        }
        workgroupBarrier();
        prefix = (prefix << 8u) | chosen;
        workgroupBarrier();
    }
    return max(prefix, least);
}

// The lane's best of all lanes, known to lane 0: the largest value, the lowest index among equals.
fn largest(local: u32, value: f32, index: u32) {
    best_value[local] = value;
    best_index[local] = index;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if local < half {
            let v = best_value[local + half];
            let i = best_index[local + half];
            if v > best_value[local] || (v == best_value[local] && i < best_index[local]) {
                best_value[local] = v;
                best_index[local] = i;
            }
        }
        workgroupBarrier();
    }
}

// The sum of exp(value - top) over all tokens, known to lane 0.
fn weigh(local: u32, top: f32) {
    var sum = 0.0;
    for (var i = local; i < params.cols; i += WG) { sum += exp(value_of(i) - top); }
    sums[local] = sum;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if local < half { sums[local] += sums[local + half]; }
        workgroupBarrier();
    }
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32) {
    var value = -3.4e38;
    var index = 0u;
    // The largest of all, masked or not: probabilities are the model's.
    var peak = -3.4e38;
    for (var i = local; i < params.cols; i += WG) {
        let v = value_of(i);
        if v > peak { peak = v; }
        if v > value && may(i) {
            value = v;
            index = i;
        }
    }
    largest(local, value, index);
    let top = best_value[0];
    let best = best_index[0];
    if MASKED == 1u {
        workgroupBarrier();
        largest(local, peak, local);
    }
    peak = best_value[0];
    weigh(local, peak);
    if GREEDY == 0u {
        let heat = max(state.temperature, 1e-6);
        let k = select(state.top_k, params.cols, state.top_k == 0u || state.top_k > params.cols);
        let kth = threshold(local, 0u, false, k, top, heat);
        // What the k likeliest weigh together, then the share of it that top-p keeps.
        if local == 0u { above = 0u; }
        if local == 0u { atomicStore(&bins[0], 0u); }
        workgroupBarrier();
        for (var i = local; i < params.cols; i += WG) {
            let v = value_of(i);
            if may(i) && key_of(v) >= kth { atomicAdd(&bins[0], likelihood(v, top, heat)); }
        }
        workgroupBarrier();
        let all = f32(atomicLoad(&bins[0]));
        workgroupBarrier();
        let least = threshold(local, kth, true, max(1u, u32(ceil(state.top_p * all))), top, heat);
        // Greedy keeps the likeliest, found above.
        let draw = state.temperature > 0.0;
        let seed = hash(state.count ^ hash(state.seed_low ^ hash(state.seed_high)));
        value = -3.4e38;
        index = 0xffffffffu;
        if !draw && local == 0u {
            value = top;
            index = best;
        }
        workgroupBarrier();
        for (var i = local; i < params.cols && draw; i += WG) {
            let v = value_of(i);
            if !may(i) || key_of(v) < least { continue; }
            let uniform_draw = (f32(hash(i ^ seed) >> 8u) + 0.5) / 16777216.0;
            let score = (v - top) / heat - log(-log(uniform_draw));
            if score > value {
                value = score;
                index = i;
            }
        }
        largest(local, value, index);
    }
    if local != 0u || state.done != 0u { return; }
    // With NaN among the logits nothing may have been drawn: then the greedy token.
    var token = best;
    if GREEDY == 0u && best_index[0] < params.cols { token = best_index[0]; }
    let slot = state.count % 64u;
    state.token = token;
    state.position += 1u;
    state.recent[slot] = token;
    state.probabilities[slot] = exp(value_of(token) - peak) / sums[0];
    state.count += 1u;
    seen[token / 32u] |= 1u << (token & 31u);
    for (var i = 0u; i < 8u; i++) {
        if state.end_tokens[i] == token { state.done = 1u; }
    }
    if state.count >= state.limit { state.done = 1u; }
}
