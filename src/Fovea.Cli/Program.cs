Console.WriteLine("fovea");
return 0;
