/* Rows of recurrences: LSTM, GRU, RNN, one direction or both. */
#include "tests/kernels/rows.h"

static void recurrence(net *n, const char *op, int64_t gates, const char *one, const char *more) {
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    const char *direction = directions[net_pick(n, 0, 2)];
    const int64_t d = direction[0] == 'b' ? 2 : 1, t = net_pick(n, 1, 5), b = net_pick(n, 1, 3),
                  in = net_size(n, n->large ? 60 : 20), h = net_size(n, n->large ? 60 : 24);
    net_value x = net_input_of(n, shape3(ADZE_f32, t, b, in), DATA_ANY, 0, 0);
    net_value w = net_weight(n, shape3(ADZE_f32, d, gates * h, in), 0.5);
    net_value r = net_weight(n, shape3(ADZE_f32, d, gates * h, h), 0.5);
    net_value bias = net_chance(n, 70) ? net_weight(n, shape2(ADZE_f32, d, 2 * gates * h), 0.5) : net_none;
    net_value lengths = net_chance(n, 20) ? net_input_of(n, shape1(ADZE_i32, b), DATA_RANGE, 0, (double)t) : net_none;
    net_value state = shape3(ADZE_f32, d, b, h);
    net_value h0 = net_chance(n, 40) ? net_input_of(n, state, DATA_ANY, 0, 0) : net_none;
    const bool lstm = gates == 4;
    net_value c0 = lstm && net_chance(n, 40) ? net_input_of(n, state, DATA_ANY, 0, 0) : net_none;
    net_value p = lstm && net_chance(n, 20) ? net_weight(n, shape2(ADZE_f32, d, 3 * h), 0.5) : net_none;
    net_value results[] = {shape4(ADZE_f32, t, d, b, h), state, state};
    net_ops(n, op,
            net_text(n,
                     "direction = \"%s\", hidden = %lld : i64, activations = [%s%s%s], alpha = array<f64>, beta = array<f64>, "
                     "clip = 0.0 : f64%s",
                     direction, (long long)h, one, d == 2 ? ", " : "", d == 2 ? one : "", more),
            lstm ? 8 : 6, (net_value[]){x, w, r, bias, lengths, h0, c0, p}, lstm ? 3 : 2, results);
    for (int i = 0; i < (lstm ? 3 : 2); i++)
        net_output(n, results[i]);
}

void row_lstm(net *n) {
    recurrence(n, "adze.lstm", 4, "\"Sigmoid\", \"Tanh\", \"Tanh\"",
               net_chance(n, 80) ? ", input_forget = false" : ", input_forget = true");
}
void row_gru(net *n) {
    recurrence(n, "adze.gru", 3, "\"Sigmoid\", \"Tanh\"",
               net_chance(n, 50) ? ", linear_before_reset = false" : ", linear_before_reset = true");
}
void row_rnn(net *n) { recurrence(n, "adze.rnn", 1, "\"Tanh\"", ""); }
