"""The pages that a fault is tried on, beside generated ones: each reaches rules that others do not."""

from __future__ import annotations

# Pages that reach rules the generator seldom reaches; the number is the size of the first dim (blocks hold 64 rows).
PAGES = (
    (70, "dims n, d\ndata X[n, d], y[n] in {0, 1}\nparam w[d], b\np = sigmoid(X w + b)\n"
     "minimize -1/n sum[i] (y[i] log p[i] + (1 - y[i]) log(1 - p[i])) + 1/2 ||w||^2"),
    (70, "dims n, d, c\ndata X[n, d], y[n] in c\nparam W[d, c], b[c]\nZ = X W + b\n"
     "minimize -1/n sum[i] logsoftmax(Z[i])[y[i]]"),
    (70, "dims n\ndata X[n, 3]\nparam w[3]\nminimize sum[i] 1/(i + 1) (sum[k] X[i, k] w[k])^2"),
    (70, "dims n\ndata X[n, 2]\nparam w\nminimize sum[i] sin(w X[i, 1])/(i + 1)"),
    (5, "dims n\nparam w[n]\na[i] = exp(w[i])\nb[i] = a[i]/(2 + a[i]^2)\n"
     "minimize sum[i, j in n] sin(a[i] b[j]) + sum[i] b[i]^3 a[i]"),
    (9, "dims n, d, h = 9, c = 8\ndata X[n, d], Y[n, c]\nparam W[d, h], V[h, c]\n"
     "minimize 1/n ||tanh(X W) V - Y||_F^2 + tr(W' W)"),
    (9, "dims n, h = 9, c = 8\ndata X[n, h]\nparam V[h, c], w[n]\nM = 3 X V\n"
     "minimize sum[i, j] M[i, j]^3 + sum[i, j] sin(M[i, j] + w[i])"),
    (5, "dims n, m\ndata A[n, n], B[n, m]\nparam W[n, m], v[n]\n"
     "minimize tr(W' A W) + sum[i, j] diag(v)[i, j] (B B')[i, j] + ||diag(v) B||_F^2"),
    (5, "dims n, m\ndata A[n, n]\nparam W[n, n]\nM[i, j] = sum[k in n, l in n] A[i, k] W[k, l]^2 A[l, j]\n"
     "minimize sum[i, j] exp(M[i, j]/9)"),
    (5, "dims n, k\ndata X[n, 3]\nparam C[k, 3]\nminimize sum[i] min[q in k] ||X[i] - C[q]||^2 + max[q in k] C[q, 0]"),
    (4, "dims n, d\ndata X[n, d]\nparam w[d], v[n]\ns[i] = prod[j] (2 + sin(w[j] X[i, j]))\nminimize sum[i] log(s[i]) v[i]^2"),
    (4, "dims n\nparam w[n], u[n], v[n]\nminimize sum[i] (relu(w[i]) + |u[i]| + max(w[i], v[i]) + min(u[i], v[i]) "
     "+ [w[i] < u[i]] v[i]^3 + [w[i] <= v[i]] u[i]^3 + [w[i] = v[i]] u[i]) + max(w[0], u[0]) v[1]"),
    (4, "dims n\nparam w[n]\nminimize sum[i] (step(w[i]) w[i]^2 + sign(w[i]) w[i]^3 + tan(w[i]/2) + sinh(w[i]) + cosh(w[i]) "
     "+ arctan(w[i]) + cos(w[i]) + sqrt(2 + w[i]) + log(3 + w[i]) + log1p(w[i]^2) + expm1(w[i]) + exp(w[i]) "
     "+ softplus(w[i]))"),
    (5, "dims n, m\ndata x[m], A[n] in m\nparam w[m]\nE[i] = exp(w[i] x[i])\nP[i] = E[i] / (sum[j] E[j])\n"
     "minimize -sum[k in n] log P[A[k]]"),
    (4, "dims n\nparam w[n]\nS = sum[i] exp(w[i])\nminimize log(S) + sum[i] (exp(w[i]) / S)^2 + log(sum[i] 3 exp(2 w[i]))"),
    (4, "dims n\ndata x[n]\nparam w[n]\nE[i] = exp(w[i])\nS = 30 + sum[j] x[j] E[j]\nminimize sum[i] E[i] / S"),
    (5, "dims n\ndata x[n]\nparam w[n], u[n]\nminimize sum[i where x[i] > 0] w[i]^2 x[i] + sum[i where x[i] < 1] exp(u[i]) w[i]"),
    (5, "dims r, n, m\ndata x[r]\nparam w[n], v[m]\na[i] = exp(w[i])\nb[j] = exp(v[j])\n"
     "minimize sum[k] x[k] a[0] + sum[i, j] sin(a[i] b[j]) + sum[i] a[i]^3 + sum[j] b[j]^3 + sum[i, j] (a[i] + b[j])^2 a[i]"),
    (6, "dims n\ndata x[n]\nparam w[n], u[n]\n"
     "minimize sum[i in 1..n-1] (w[i] - x[i - 1] u[i - 1])^2 + sum[i in 0..n-2] sin(u[i + 1] w[i])"),
    (5, "dims n, m\ndata A[n] in m, B[m] in n, x[n]\nparam w[n]\nminimize sum[i] exp(w[B[A[i]]] x[i]) + w[B[A[0]]] w[B[1]]"),
    (5, "dims n, d\ndata X[n, d]\nparam w[d]\nminimize sum[i] (max[j in d where j <= i] X[i, j] w[j])"),
    (5, "dims n\ndata x[n]\nparam w[n]\n"
     "minimize sum[i] sin(w[i]) x[i] + sum[i where x[i] > 0] w[i]^2 x[i] + sum[i] cos(2 w[i]) x[i]^2"),
    (5, "dims n\ndata x[n]\nparam w[n]\nE[i] = exp(w[i])\nS = sum[j] x[j] E[j]\nminimize sum[i] E[i]^2 / S"),
    (9, "dims n, h = 9, c = 8\ndata X[n, h]\nparam V[h, c], a\nM = a X V\nminimize sum[i, j] sin(M[i, j]) + a^2"),
    (6, "dims n, h = 3, d\ndata x[n, d]\nparam U[d, h], w[h]\nz[n-1, k] = w[k]\n"
     "z[t, k] = sum[j] x[t, j] U[j, k]   for t in 0..n-2, k in h\nminimize sum[t, k] sin(z[t, k])"),
    (9, "dims n, d\ndata X[n, d], x[n]\nparam w[n]\nz[k] = sum[i where x[i] > 0] X[i, k] w[i]\n"
     "minimize sum[k] sin(z[k])"),
    (70, "dims n, d\ndata X[n, d], y[n]\nparam w[d]\nz[j] = sum[i] X[i, j] y[i]\nminimize sum[j] sin(z[j] w[j])"),
)  # fmt: skip

# Nodes beside statements: scans up and down, operations on whole arrays, fixed points.
NODES = (
    (6, "dims T, K = 3, V = 4\ndata obs[T] in V\nparam a0[K], A[K, K], B[K, V]\npi = softmax(a0)\nP = softmax(A)\n"
     "Q = softmax(B)\nalpha[0, s] = pi[s] Q[s, obs[0]]\n"
     "alpha[t, s] = (sum[r] alpha[t-1, r] P[r, s]) Q[s, obs[t]]   for t in 1..T-1\n"
     "minimize -log sum[s] alpha[T-1, s] + 1/2 (||A||^2 + ||B||^2 + ||a0||^2)"),
    (6, "dims T\ndata x[T]\nparam a, b\nv[T-1] = b x[T-1]\nv[t] = x[t] + a tanh(v[t+1])   for t in 0..T-2\n"
     "minimize v[0]^2 + (a - 1)^2 + b^2 + sum[t] v[t]^3/9"),
    (6, "dims T, H = 3, d\ndata x[T, d], y[T]\nparam Wf[H, H], Wg[H, H], U[d, H], v[H]\n"
     "f[t] = sigmoid(Wf' h[t-1] + U' x[t])\ng[t] = tanh(Wg' h[t-1])\nc[0, k] = 1\n"
     "c[t, k] = f[t, k] c[t-1, k] + (1 - f[t, k]) g[t, k]   for t in 1..T-1, k in H\nh[0, k] = 0\n"
     "h[t, k] = tanh(c[t, k])   for t in 1..T-1, k in H\nminimize 1/T sum[t] (h[t]' v - y[t])^2"),
    (6, "dims n, d\ndata X[n, d]\nparam mu[d], L[d, d]\nS[i, j] = sum[k] L[i, k] L[j, k] + [i = j]\n"
     "minimize 1/2 logdet(S) + 1/(2 n) sum[i] (X[i] - mu)' inv(S) (X[i] - mu)"),
    (4, "dims d\ndata y[d]\nparam A[d, d]\nS[i, j] = sum[k] A[i, k] A[j, k] + 2 [i = j]\n"
     "minimize det(S) + y' S^-1 y + sum[i, j] chol(S)[i, j]^2 + tr(S^-1)"),
    (7, "dims n, k = 2\ndata y[n]\nparam x[n]\nminimize sum[i] (sort(x)[i] - i)^2 y[i]^2 + sum[i in k] top(x, k)[i]^2"),
    (6, "dims T\ndata x[T]\nparam a\nv[0] = 1\nv[t] = a v[t-1] + x[t]   for t in 1..T-1\nminimize v[T-1]^2"),
    (6, "dims T, K = 3\ndata x[T]\nparam w[K], a\ng[0, k] = w[k]\ng[t, k] = tanh(w[k] h[t-1])   for t in 1..T-1, k in K\n"
     "h[0] = 1/2\nh[t] = g[t, 0] x[t] + a h[t-1]   for t in 1..T-1\nminimize sum[t] h[t]^2"),
    (6, "dims T\ndata x[T]\nparam w[T]\np[t] = exp(w[t]) sin(w[t])\nq[t] = exp(w[t]) sin(w[t])\nv[0] = 1\n"
     "c[0] = 0\nc[t] = sin(v[t-1]) + c[t-1]/2   for t in 1..T-1\n"
     "v[t] = tanh(v[t-1] q[t]) + c[t-1] p[t]   for t in 1..T-1\nminimize v[T-1]^2 + sum[t] p[t]^3"),
    (5, "dims n\ndata A[n, n], y[n]\nparam a[n], b\n"
     "iterate x[i] <- tanh(a[i] + b/9 sum[j] A[i, j] x[j]) from 0 until |change| < 1e-13\nz = 2 x\n"
     "minimize sum[i] (z[i] - y[i])^2 + 1/10 (b^2 + ||a||^2)"),
    (6, "dims n, c = 2\ngraph G over n undirected self_loops\ndata H[n, c], y[n] in c\nparam w[c]\n"
     "iterate Z[i, k] <- 1/2 sum[j in G(i)] Z[j, k] / sqrt(|G(i)| |G(j)|) + H[i, k] w[k] from 0 until |change| < 1e-13\n"
     "minimize -1/n sum[i] logsoftmax(Z[i])[y[i]] + 1/10 ||w||^2"),
    (4, "dims n\ndata y[n]\nparam L[n, n], w[n]\nS[i, j] = sum[k] L[i, k] L[j, k] + 9 [i = j]\n"
     "p[i] = exp(w[i]) sin(w[i])\nq[i] = exp(w[i]) sin(w[i])\n"
     "iterate x[i] <- tanh(q[i]/9 + solve(S, x)[i]) + x[0]/9 from p until |change| < 1e-13\n"
     "minimize sum[i] (x[i] - y[i])^2 + sum[i] p[i]^3"),
    (4, "dims S, A\ndata P[S, A, S], R[S, A], target[S]\nparam c[S, A]\n"
     "solve for V: V[s] = logsumexp[a] (R[s, a] + c[s, a] + 1/9 sum[z] tanh(P[s, a, z]) V[z])\n"
     "minimize sum[s] (V[s] - target[s])^2 + ||c||^2"),
    (3, "dims d\ndata u[d]\nparam A[d, d]\nv = eigvecs(A) u\n"
     "minimize sum[i] exp(eigvals(A)[i]/4) + sum[i] u[i] v[i]^2 + ||A||^2"),
    (5, "dims n, d = 3\ndata X[n, d], u[d]\nparam B[n, d]\n"
     "minimize nuclear(B) + sum[i, j] X[i, j] svdu(B)[i, j] + sum[i, j in d] u[i] svdv(B)[i, j]^2 u[j] + ||B||^2"),
    (5, "dims n, d = 3\nparam B[n, d]\nminimize nuclear(B) + ||B||^2"),
    (4, "dims n, d = 2\nparam A[n, d, d], W[n, d], V[n, d, d]\nZ = solve_each(A, W)\nY = solve_each(A, V)\n"
     "minimize sum[i, j] Z[i, j]^2 + sum[i, j, k] Y[i, j, k]^3"),
    (4, "dims d, k = 2\ndata y[d]\nparam A[d, d], B[d, k]\nS[i, j] = sum[k in d] A[i, k] A[j, k] + [i = j]\n"
     "minimize ||solve(S, B)||^2 + log |det(A)| + ||solve(A, y)||^2 + sum[i, j] y[i] chol(S)[i, j]^3"),
)  # fmt: skip

# At points where only the stable form is right: the page, and the entries of w in turn.
EXTREME = (
    ("log(sigmoid(w))", (-800.0, 800.0)),
    ("log(1 - sigmoid(w))", (-800.0, 800.0)),
    ("log(1 + exp(w))", (800.0, -800.0)),
    ("log(2 exp(w) + 3 exp(2 w))", (800.0, -900.0)),
    ("log(exp(w) + exp(2 w) + exp(-w))", (800.0, -900.0)),
    ("log(1 + w)", (1e-17, 3.0)),
    ("exp(w) / (1 + exp(w))", (800.0, -800.0)),
    ("3 exp(2 w) / (exp(2 w) + exp(w))", (800.0, -800.0)),
    ("(1 - sigmoid(w)) * exp(w)", (40.0, -2.0)),
    ("exp(w) - 1", (1e-17, 2.0)),
    ("exp(w) - 2", (1e-3, 2.0)),
    ("exp(w) + sin(w) - 1", (0.5, 2.0)),
    ("softplus(w) + 2 softplus(3 w + 1)", (0.5, -2.0)),
    ("softplus(w) + softplus(1 - w)", (0.5, -2.0)),
    ("log(exp(w) sigmoid(w) / 2)", (-800.0, 5.0)),
    ("log(exp(w) sigmoid(w)^2)", (-800.0, 5.0)),
    ("log(exp(w) softplus(w)^2)", (800.0, 5.0)),
    ("log(2 exp(w) - exp(-w))", (1.0, 30.0)),
    ("log1p(exp(w))", (800.0, -800.0)),
    ("log1p(-sigmoid(w))", (800.0, -800.0)),
    ("log1p(2 exp(w)) + log1p(-sigmoid(w)/2) + log(2 - sigmoid(w)) + 2 - exp(w) + exp(w)/3 - 1/3", (1.5, -3.0)),
    ("log(1/(1 + exp(-w)))", (-800.0, 5.0)),
    ("sqrt(1 + exp(w))", (1.5, -30.0)),
    ("softplus(w) - log(1 + exp(-w)) / 2 + sigmoid(w)", (800.0, -800.0)),
    ("-(1/3 log(sigmoid(w)) + 2/3 log(1 - sigmoid(w)))", (700.0, -700.0)),
)


# What the documentation of functions says at ties and kinks: the page of w, the point, the gradient.
KINKS = (
    ("relu(w[0]) + |w[1]| + 3 w[2]", (0.0, 0.0, 0.0), (0.0, 0.0, 3.0)),
    ("max(2 w[0], w[1]) + min(5 w[1], w[2])", (0.0, 0.0, 0.0), (2.0, 5.0, 0.0)),
    ("max[i in 3] (w[i] - 1)", (1.0, 2.0, 2.0), (0.0, 1.0, 0.0)),
    ("min[i in 3] w[i]", (1.0, 1.0, 2.0), (1.0, 0.0, 0.0)),
    ("[w[0] < w[1]] w[2] + [w[0] <= w[1]] 2 w[2] + [w[0] = w[1]] 4 w[2]", (1.0, 1.0, 2.0), (0.0, 0.0, 6.0)),
    ("step(w[0]) w[1] + sign(w[0]) w[2] + w[1]", (0.0, 1.0, 2.0), (0.0, 1.0, 0.0)),
)
