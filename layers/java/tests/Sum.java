import java.util.stream.IntStream;

class Sum {
    record Range(int from, int to) {}

    public static void main(String[] arguments) {
        var range = new Range(1, 100);
        System.out.println("sum " + IntStream.rangeClosed(range.from(), range.to()).sum());
    }
}
