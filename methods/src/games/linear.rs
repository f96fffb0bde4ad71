//! Small dense systems of linear equations.

/// The solution of `matrix x = right`, by elimination with row pivoting; `None` where the matrix is
/// singular to rounding.
pub(crate) fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let size = right.len();
    let scale = matrix.iter().flatten().fold(0.0f64, |most, value| most.max(value.abs()));
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))?;
        if matrix[pivot][column].abs() <= scale * 1e-13 {
            return None;
        }
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        let (upper, lower) = matrix.split_at_mut(column + 1);
        let lead = &upper[column];
        for (below, row) in lower.iter_mut().enumerate() {
            let factor = row[column] / lead[column];
            if factor != 0.0 {
                for (value, lead) in row[column..].iter_mut().zip(&lead[column..]) {
                    *value -= factor * lead;
                }
                right[column + 1 + below] -= factor * right[column];
            }
        }
    }
    for column in (0..size).rev() {
        let known: f64 = (column + 1..size).map(|other| matrix[column][other] * right[other]).sum();
        right[column] = (right[column] - known) / matrix[column][column];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::solve;

    #[test]
    fn systems_by_hand() {
        // 2x + y = 5, x - y = 1: x = 2, y = 1. The first pivot of the second is 0.
        assert_eq!(
            solve(vec![vec![2.0, 1.0], vec![1.0, -1.0]], vec![5.0, 1.0]),
            Some(vec![2.0, 1.0])
        );
        assert_eq!(
            solve(vec![vec![0.0, 1.0], vec![1.0, 0.0]], vec![3.0, 4.0]),
            Some(vec![4.0, 3.0])
        );
        assert_eq!(solve(vec![vec![1.0, 2.0], vec![2.0, 4.0]], vec![1.0, 2.0]), None);
    }
}
